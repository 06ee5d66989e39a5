// SPDX-License-Identifier: GPL-2.0-or-later
// StagedFile: a file that gets its name only when it is complete.
//
// It has no name while it is written (O_TMPFILE), mode 0600 from the first byte, and vanishes with
// its descriptor unless committed. On a file system without O_TMPFILE, and where such a file could
// not get a name, it has a hidden name, which is removed again.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::staging {

// A file that has its name.
struct Kept {
  std::filesystem::path path;
  // The file exists, complete and synced, but its name may not survive a power cut: why.
  std::optional<Remark> doubt = {};
};

class StagedFile {
 public:
  // The file that `target` leads to (staging/destination.h); the folder must exist. An existing
  // file is Errc::exists at once, unless `replace`; anything else than a regular file is
  // Errc::invalid, and is never replaced.
  static Result<StagedFile> create(const std::filesystem::path& target, bool replace);

  StagedFile(StagedFile&&) = default;
  StagedFile& operator=(StagedFile&&) = delete;
  ~StagedFile();

  // Open for reading and writing. Borrowed.
  int fd() const { return file_.get(); }

  // Call one of these, once. Both sync the file and give it a name; after an Error it has none.
  //
  // Gives it the target's name. Errc::exists if somebody else created that file meanwhile and
  // `replace` was not given, or if it is not a regular file any more.
  Result<Kept> commit();
  // Gives it the target's name with `suffix` appended and, if that exists, .1 to .99 appended to
  // that. Never replaces a file; Errc::exists if all of these exist.
  Result<Kept> commit_aside(const std::string& suffix);

 private:
  StagedFile(Fd file, Fd folder, std::filesystem::path path, std::string hidden_name, bool replace)
      : file_(std::move(file)),
        folder_(std::move(folder)),
        target_(std::move(path)),
        hidden_name_(std::move(hidden_name)),
        replace_(replace) {}
  Result<> sync() const;
  Result<> link(const std::string& name) const;
  Result<> replace(const std::string& name) const;
  // The file that was just named, its folder synced.
  Kept named(const std::string& name) const;
  // `name` in the folder of the target.
  std::filesystem::path path_of(const std::string& name) const;

  Fd file_;
  Fd folder_;
  std::filesystem::path target_;  // the links followed
  std::string hidden_name_;       // empty for O_TMPFILE
  bool replace_;
};

// A regular file in `folder` that nobody else can open: for spooling data that others must not see.
Result<Fd> create_unlinked(const std::filesystem::path& folder);

// Bytes that a user may still write to the file system of `folder`.
Result<std::uint64_t> free_space(const std::filesystem::path& folder);

}  // namespace vmcore::staging
