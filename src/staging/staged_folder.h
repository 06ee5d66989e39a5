// SPDX-License-Identifier: GPL-2.0-or-later
// StagedFolder: a folder of files that appears under its name as a whole, or not at all.
//
// It has a hidden name while it is filled, mode 0700, and is flat. All is done relative to the
// descriptor of its parent, and links are not followed.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::staging {

class StagedFolder {
 public:
  // A new folder of that name, which begins with a dot, in `parent`. `where`: the path of the
  // parent, for errors.
  static Result<StagedFolder> create(int parent, std::string hidden_name, std::string where);
  // One that is there already: of a program that did not live to commit it.
  static Result<StagedFolder> adopt(int parent, std::string hidden_name, std::string where);

  StagedFolder(StagedFolder&&) = default;
  StagedFolder& operator=(StagedFolder&&) = delete;
  // Removes the folder and its files unless it was committed or is left.
  ~StagedFolder();

  int fd() const { return folder_.get(); }  // borrowed
  std::string path() const { return where_ + "/" + name_; }

  // Syncs each file and the folder. What is there now survives a power cut.
  Result<> sync() const;
  // Syncs, gives the folder its mode and its name, and syncs the parent. Errc::exists if the name
  // is taken. A parent that cannot be synced is a Remark: the folder has its name then.
  Result<std::optional<Remark>> commit(const std::string& name, mode_t mode);
  // The folder stays as it is, under its hidden name.
  void leave() { committed_ = true; }

 private:
  StagedFolder(Fd parent, Fd folder, std::string name, std::string where)
      : parent_(std::move(parent)),
        folder_(std::move(folder)),
        name_(std::move(name)),
        where_(std::move(where)) {}

  Fd parent_;
  Fd folder_;
  std::string name_;
  std::string where_;
  bool committed_ = false;
};

// The names in the folder, "." and ".." left out, in no order.
Result<std::vector<std::string>> names_in(int folder, const std::string& where);

// Opens a folder in `parent`. Errc::not_found; Errc::malformed if it is something else.
Result<Fd> open_folder_at(int parent, const std::string& name, const std::string& where);

// Writes a small file as a whole: an existing one of that name is replaced, or stays as it is. The
// file and its name are synced.
Result<> write_file_at(int folder, const std::string& name, std::string_view text, mode_t mode);
// The same, but only StagedFolder::sync() syncs it.
Result<> add_file_at(int folder, const std::string& name, std::string_view text, mode_t mode);

// Removes a flat folder and its files; what is no file stays, and so does the folder then.
Result<> remove_folder_at(int parent, const std::string& name, const std::string& where);

}  // namespace vmcore::staging
