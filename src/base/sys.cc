// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/sys.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

// <linux/fs.h> drags in macros that clash; this one number is ABI.
#ifndef BLKGETSIZE64
#define BLKGETSIZE64 _IOR(0x12, 114, size_t)
#endif

namespace vmcore::sys {
namespace {

// Repeats `step(done)` until `size` bytes are through, the input ends (0), or it fails.
template <class Step>
Result<std::size_t> repeat(std::size_t size, const char* what, Step step) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = step(done);
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      return fail_errno(errno, what);
    }
    if (count == 0) {
      break;
    }
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<> all_written(Result<std::size_t> written, std::size_t size) {
  if (!written) {
    return tl::unexpected(std::move(written).error());
  }
  if (*written != size) {
    return fail(Errc::io, "write: the target accepts no more data");
  }
  return {};
}

}  // namespace

Result<std::size_t> pread_full(int fd, std::span<std::byte> out, std::uint64_t offset) {
  return repeat(out.size(), "read", [&](std::size_t done) {
    return ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
  });
}

Result<std::size_t> read_full(int fd, std::span<std::byte> out) {
  return repeat(out.size(), "read",
                [&](std::size_t done) { return ::read(fd, out.data() + done, out.size() - done); });
}

Result<std::size_t> read_some(int fd, std::span<std::byte> out) {
  ssize_t count = -1;
  while ((count = ::read(fd, out.data(), out.size())) < 0 && errno == EINTR) {
  }
  return count < 0 ? fail_errno(errno, "read")
                   : Result<std::size_t>(static_cast<std::size_t>(count));
}

Result<> pwrite_full(int fd, std::span<const std::byte> data, std::uint64_t offset) {
  return all_written(repeat(data.size(), "write",
                            [&](std::size_t done) {
                              return ::pwrite(fd, data.data() + done, data.size() - done,
                                              static_cast<off_t>(offset + done));
                            }),
                     data.size());
}

Result<> write_full(int fd, std::span<const std::byte> data) {
  return all_written(
      repeat(data.size(), "write",
             [&](std::size_t done) { return ::write(fd, data.data() + done, data.size() - done); }),
      data.size());
}

Result<std::uint64_t> file_size(int fd) {
  // Not fstat(3): glibc asks newfstatat(2) for it, which takes paths, and so a worker may not make
  // that call (sandbox/calls.h).
  struct stat status {};
  if (::syscall(SYS_fstat, fd, &status) != 0) {
    return fail_errno(errno, "stat");
  }
  if (S_ISREG(status.st_mode)) {
    return static_cast<std::uint64_t>(status.st_size);
  }
  std::uint64_t size = 0;
  if (S_ISBLK(status.st_mode)) {
    if (::ioctl(fd, BLKGETSIZE64, &size) != 0) {
      return fail_errno(errno, "block device size");
    }
    return size;
  }
  return fail(Errc::invalid, "not a regular file or block device");
}

Result<> truncate(int fd, std::uint64_t size) {
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0) {
    return fail_errno(errno, "truncate");
  }
  return {};
}

Result<> sync(int fd) {
  const bool failed = ::fsync(fd) != 0 && errno != EINVAL && errno != EROFS;  // fsync(2)
  return failed ? Result<>(fail_errno(errno, "sync")) : Result<>();
}

}  // namespace vmcore::sys
