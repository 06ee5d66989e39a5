// DumpTarget: the path that libvirt is given to dump into, and what comes out of it: a FIFO, or
// where that is refused, a file. It lies in a private folder (mode 0700) that is gone as soon as
// libvirt has opened what is in it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// A folder that nobody else may enter; removed, with the one file it may hold, with the object.
class PrivateFolder {
 public:
  static Result<PrivateFolder> make(const std::filesystem::path& parent);
  PrivateFolder(PrivateFolder&& other) noexcept;
  PrivateFolder& operator=(PrivateFolder&&) = delete;
  ~PrivateFolder() { remove(); }

  std::filesystem::path file() const { return path_ / "memory"; }
  void remove();

 private:
  explicit PrivateFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;  // empty: removed
};

// Opening a FIFO for writing waits for a reader for as long as that takes, with the domain's job
// held. So a process of its own keeps the FIFO open for reading in case we are killed before
// libvirt has it: until the first byte is there, or for two minutes.
class FifoGuardian {
 public:
  static Result<FifoGuardian> start(int fifo);
  FifoGuardian(FifoGuardian&& other) noexcept;
  FifoGuardian& operator=(FifoGuardian&&) = delete;
  ~FifoGuardian() { stop(); }
  void stop();

 private:
  explicit FifoGuardian(pid_t pid) : pid_(pid) {}
  pid_t pid_;  // -1: stopped
};

class DumpTarget {
 public:
  // In the user's runtime folder.
  static Result<DumpTarget> make_fifo();
  // In `folder`, which has the room.
  static Result<DumpTarget> make_file(const std::filesystem::path& folder);

  std::filesystem::path path() const { return folder_.file(); }
  // Open for reading. Borrowed.
  int fd() const { return file_.get(); }
  // libvirt has it open: nobody needs the path any more.
  void forget_path();
  // Gives the descriptor away; reads from it wait for data.
  Result<Fd> take();

 private:
  DumpTarget(PrivateFolder folder, Fd file) : folder_(std::move(folder)), file_(std::move(file)) {}

  PrivateFolder folder_;
  Fd file_;
  std::optional<FifoGuardian> guardian_;  // of a FIFO
};

}  // namespace vmcore::acquire
