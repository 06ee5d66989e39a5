// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/dump_target.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <random>

namespace vmcore::acquire {
namespace {

namespace fs = std::filesystem;

// The same descriptor under a number of three digits that nobody can expect.
Result<Fd> renumber(const Fd& fd) {
  std::random_device random;
  Fd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, std::uniform_int_distribution(200, 900)(random)));
  if (!moved) {
    return fail_errno(errno, "dup");
  }
  return moved;
}

}  // namespace

Result<PrivateFolder> PrivateFolder::make(const fs::path& parent) {
  std::error_code error;
  const fs::path absolute = fs::absolute(parent, error);  // libvirt's working folder is another
  std::string path = (absolute / ".vmcorectl-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {  // mode 0700
    return fail_errno(errno, parent.string());
  }
  return PrivateFolder(path);
}

PrivateFolder& PrivateFolder::operator=(PrivateFolder&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

void PrivateFolder::remove() {
  if (!path_.empty()) {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    path_.clear();
  }
}

Result<DumpTarget> DumpTarget::of_pipe(Pipe pipe) {
  DumpTarget target;
  target.file_ = std::move(pipe.out);
  TRY_ASSIGN(target.write_end_, renumber(pipe.in));
  const Fd descriptors(::open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!descriptors) {
    return fail_errno(errno, "/proc/self/fd");
  }
  TRY_ASSIGN(target.descriptors_, renumber(descriptors));
  // A libvirt in another PID namespace has another process by our number, and would overwrite what
  // that has open. So the way leads twice through our descriptor of our own list of descriptors,
  // which no other process has.
  const int list = target.descriptors_.get();
  target.path_ =
      fmt::format("/proc/{}/fd/{}/{}/{}", ::getpid(), list, list, target.write_end_.get());
  return target;
}

Result<DumpTarget> DumpTarget::make_file(const fs::path& parent) {
  DumpTarget target;
  TRY_ASSIGN(target.folder_, PrivateFolder::make(parent));
  target.path_ = target.folder_.path() / "memory";
  target.file_ = Fd(::open(target.path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!target.file_) {
    return fail_errno(errno, target.path_);
  }
  return target;
}

void DumpTarget::forget_path() {
  write_end_.reset();
  descriptors_.reset();
  folder_.remove();
}

}  // namespace vmcore::acquire
