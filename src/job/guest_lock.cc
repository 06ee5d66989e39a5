// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/guest_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "src/acquire/process/guest_process.h"
#include "src/base/number.h"
#include "src/base/runtime_folder.h"
#include "src/base/sys.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;

// A process writes its name after it has locked the file: until then the name is missing.
constexpr int kLooks = 50;
constexpr std::chrono::milliseconds kLookEvery{10};
constexpr int kOpenFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

struct Holder {
  pid_t pid = 0;
  std::string doing;
};

bool is_at(int file, const fs::path& path) {
  struct stat held {};
  struct stat named {};
  return ::fstat(file, &held) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

// The number at the beginning of the text, and the text behind the space that follows.
template <class T>
std::optional<T> take_word(std::string_view& text) {
  const auto value = take_number<T>(text);
  if (!value || !text.starts_with(' ')) {
    return std::nullopt;
  }
  text.remove_prefix(1);
  return value;
}

// "PID START-TIME DOING\n" of a process that lives.
std::optional<Holder> holder_of(int file) {
  std::array<char, 256> buffer{};
  const auto got = sys::pread_full(file, std::as_writable_bytes(std::span(buffer)), 0);
  std::string_view text(buffer.data(), got.value_or(0));
  const auto pid = take_word<pid_t>(text);
  const auto start = pid ? take_word<std::uint64_t>(text) : std::nullopt;
  if (!start || !text.ends_with('\n') || acquire::start_time(*pid) != start) {
    return std::nullopt;
  }
  text.remove_suffix(1);
  return Holder{*pid, std::string(text)};
}

Result<> write_holder(int file, std::string_view doing) {
  const pid_t self = ::getpid();
  const std::string text =
      fmt::format("{} {} {}\n", self, acquire::start_time(self).value_or(0), doing);
  TRY(sys::truncate(file, 0));
  return sys::pwrite_full(file, std::as_bytes(std::span(text)), 0);
}

tl::unexpected<Error> held_by(const std::optional<Holder>& holder) {
  return holder ? fail(Errc::busy,
                       "another vmcorectl (pid {}) {}: wait until it ends, or end that process",
                       holder->pid, holder->doing)
                : fail(Errc::busy, "another vmcorectl holds the guest: wait until it ends");
}

// What processes that were killed have left is removed as release() removes it: while it is locked.
void remove_abandoned(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const fs::path& path = entry.path();
    const Fd file(::open(path.c_str(), kOpenFlags));
    if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0 && is_at(file.get(), path)) {
      ::unlink(path.c_str());
    }
  }
}

// The file, locked.
Result<Fd> lock_file(const fs::path& path, std::string_view doing) {
  for (int look = 0;; ++look) {
    Fd file(::open(path.c_str(), kOpenFlags | O_CREAT, 0600));
    if (!file) {
      return fail_errno(errno, path.string());
    }
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      if (is_at(file.get(), path)) {  // else whoever had it has removed it since
        TRY(write_holder(file.get(), doing));
        return file;
      }
    } else if (errno != EWOULDBLOCK) {
      return fail_errno(errno, path.string());
    } else if (const auto holder = holder_of(file.get()); holder || look == kLooks) {
      return held_by(holder);
    }
    if (look == kLooks) {
      return held_by({});
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

}  // namespace

Result<GuestLock> GuestLock::take(const fs::path& folder, std::span<const std::string> keys,
                                  std::string_view doing) {
  GuestLock lock;
  if (keys.empty()) {
    return lock;
  }
  TRY(make_private(folder));
  remove_abandoned(folder);
  // All processes lock in the same order, so that one of two that share keys gets all of them.
  std::vector<std::string> sorted(keys.begin(), keys.end());
  std::ranges::sort(sorted);
  const auto again = std::ranges::unique(sorted);
  sorted.erase(again.begin(), again.end());
  for (const std::string& key : sorted) {
    TRY_ASSIGN(Fd file, lock_file(folder / key, doing));
    lock.held_.push_back({std::move(file), folder / key});
  }
  return lock;
}

GuestLock& GuestLock::operator=(GuestLock&& other) noexcept {
  if (this != &other) {
    release();
    held_ = std::move(other.held_);
    other.held_.clear();
  }
  return *this;
}

// Files are removed while they are locked, so that nobody removes the lock of another process.
void GuestLock::release() {
  for (const Held& held : held_) {
    ::unlink(held.path.c_str());
  }
  held_.clear();
}

Result<GuestLock> lock_guest(std::span<const std::string> keys, std::string_view doing,
                             std::vector<Remark>& remarks) {
  const fs::path parent = runtime_folder();
  const Result<> there = make_private(parent);
  auto lock = there ? GuestLock::take(parent / "locks", keys, doing)
                    : Result<GuestLock>(tl::unexpected(there.error()));
  if (!lock && lock.error().code != Errc::busy) {
    remarks.push_back(
        {lock.error().code,
         "other vmcorectl processes are not locked out of this guest: " + lock.error().message});
    return GuestLock();
  }
  return lock;
}

}  // namespace vmcore::job
