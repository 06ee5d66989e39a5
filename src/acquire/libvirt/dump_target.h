// SPDX-License-Identifier: GPL-2.0-or-later
// DumpTarget: the path that libvirt is given to dump into, and the descriptor that the dump is read
// from.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "src/base/fd.h"
#include "src/base/pipe.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// A folder that nobody else may enter (mode 0700); removed, with what is in it, with the object.
class PrivateFolder {
 public:
  PrivateFolder() = default;  // none
  static Result<PrivateFolder> make(const std::filesystem::path& parent);
  PrivateFolder(PrivateFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PrivateFolder& operator=(PrivateFolder&& other) noexcept;
  ~PrivateFolder() { remove(); }

  const std::filesystem::path& path() const { return path_; }
  void remove();

 private:
  explicit PrivateFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

class DumpTarget {
 public:
  // A pipe, whose end to write to libvirt opens through /proc; what comes out of it is read from
  // `pipe.out`. It has no name on any disk, so nothing is left behind. Opening a FIFO waits for a
  // reader and holds the domain's job meanwhile; this pipe cannot block libvirt if we are killed at
  // the wrong moment.
  static Result<DumpTarget> of_pipe(Pipe pipe);
  // A file in a private folder of `parent`, for a libvirt that may not, or cannot, see our pipe.
  static Result<DumpTarget> make_file(const std::filesystem::path& parent);

  const std::string& path() const { return path_; }
  // Open for reading. Borrowed.
  int fd() const { return file_.get(); }
  // libvirt has opened it, so the path is not needed any more. The input ends when libvirt is done.
  void forget_path();
  // Gives the descriptor away.
  Fd take() { return std::move(file_); }

 private:
  DumpTarget() = default;

  std::string path_;
  Fd file_;
  // What the path leads through.
  Fd write_end_;
  Fd descriptors_;
  PrivateFolder folder_;
};

}  // namespace vmcore::acquire
