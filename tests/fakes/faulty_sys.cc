// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fakes/faulty_sys.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "src/base/sys.h"

namespace vmcore {
namespace {

using fakes::faults;

bool used_up(std::atomic<int>& left) {
  return left != fakes::Faults::kNever && left.fetch_sub(1) <= 0 && (left = 0, true);
}

// Transfers up to `size` bytes by step(done, longest); fewer at the end of the input.
template <class Step>
Result<std::size_t> transfer(std::size_t size, Step step) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = step(done, std::min(size - done, faults.longest_step));
    if (count < 0) {
      return fail_errno(errno, "transfer");
    }
    if (count == 0) {
      break;
    }
    done += static_cast<std::size_t>(count);
  }
  return done;
}

template <class Step>
Result<std::size_t> read(std::size_t size, Step step) {
  if (used_up(faults.reads_left)) {
    return fail_errno(faults.read_errno, "read");
  }
  return transfer(size, step);
}

template <class Step>
Result<> write(std::size_t size, Step step) {
  if (used_up(faults.writes_left)) {
    return fail_errno(faults.write_errno, "write");
  }
  TRY(transfer(size, step));
  return {};
}

}  // namespace

namespace fakes {

Faults faults;

void no_faults() {
  faults.writes_left = faults.reads_left = faults.syncs_left = Faults::kNever;
  faults.stalled = false;
  faults.stalled.notify_all();
  faults.sync_errno = EIO;
  faults.write_errno = ENOSPC;
  faults.read_errno = EIO;
  faults.longest_step = std::numeric_limits<std::size_t>::max();
}

}  // namespace fakes

namespace sys {

Result<std::size_t> pread_full(int fd, std::span<std::byte> out, std::uint64_t offset) {
  return read(out.size(), [&](std::size_t done, std::size_t size) {
    return ::pread(fd, out.data() + done, size, static_cast<off_t>(offset + done));
  });
}

Result<std::size_t> read_full(int fd, std::span<std::byte> out) {
  return read(out.size(), [&](std::size_t done, std::size_t size) {
    return ::read(fd, out.data() + done, size);
  });
}

Result<std::size_t> read_some(int fd, std::span<std::byte> out) {
  return read(std::min<std::size_t>(out.size(), 1),
              [&](std::size_t, std::size_t) { return ::read(fd, out.data(), out.size()); });
}

Result<> pwrite_full(int fd, std::span<const std::byte> data, std::uint64_t offset) {
  return write(data.size(), [&](std::size_t done, std::size_t size) {
    return ::pwrite(fd, data.data() + done, size, static_cast<off_t>(offset + done));
  });
}

Result<> write_full(int fd, std::span<const std::byte> data) {
  return write(data.size(), [&](std::size_t done, std::size_t size) {
    return ::write(fd, data.data() + done, size);
  });
}

Result<std::uint64_t> file_size(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    return fail_errno(errno, "stat");
  }
  return static_cast<std::uint64_t>(status.st_size);
}

Result<> truncate(int fd, std::uint64_t size) {
  return ::ftruncate(fd, static_cast<off_t>(size)) == 0 ? Result<>()
                                                        : fail_errno(errno, "truncate");
}

Result<> sync(int fd) {
  faults.stalled.wait(true);
  if (used_up(faults.syncs_left)) {
    return fail_errno(faults.sync_errno, "sync");
  }
  return ::fsync(fd) == 0 || errno == EINVAL ? Result<>() : fail_errno(errno, "sync");
}

}  // namespace sys
}  // namespace vmcore
