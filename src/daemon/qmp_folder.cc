// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/qmp_folder.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <system_error>
#include <utility>

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;

// Where the kernel does not tell of a change: a folder that was moved, an overflow.
constexpr std::chrono::seconds kScanEvery{30};
constexpr std::size_t kMostMonitors = 4096;

Result<> check_folder(const fs::path& folder) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) {
    return errno == ENOENT ? Result<>() : fail_errno(errno, folder.string());
  }
  if (!S_ISDIR(status.st_mode)) {
    return fail(Errc::invalid, "{} is not a folder", folder.string());
  }
  const bool ours = status.st_uid == 0 || status.st_uid == ::geteuid();
  if (!ours || (status.st_mode & S_IWOTH) != 0) {
    return fail(Errc::denied,
                "users other than root can write to {}: give a folder that only root, or a group "
                "of QEMUs, can write to",
                folder.string());
  }
  return {};
}

std::set<std::string> sockets_in(const fs::path& folder) {
  std::set<std::string> sockets;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    std::error_code ignored;
    if (sockets.size() < kMostMonitors && entry.is_socket(ignored)) {
      sockets.insert(entry.path().string());
    }
  }
  return sockets;
}

}  // namespace

Result<std::unique_ptr<QmpFolder>> QmpFolder::open(Loop& loop, fs::path folder,
                                                   MonitorPrograms programs, SourceEvents calls,
                                                   std::map<std::string, ArmWish> wishes) {
  std::error_code error;
  folder = fs::weakly_canonical(folder, error);
  TRY(check_folder(folder));
  Fd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify) {
    return fail_errno(errno, "inotify");
  }
  std::unique_ptr<QmpFolder> made(new QmpFolder(loop, std::move(folder), std::move(programs),
                                                std::move(calls), std::move(wishes),
                                                std::move(inotify)));
  made->watch_folder();
  made->scan();
  made->scan_later();
  return made;
}

QmpFolder::QmpFolder(Loop& loop, fs::path folder, MonitorPrograms programs, SourceEvents calls,
                     std::map<std::string, ArmWish> wishes, Fd inotify)
    : loop_(loop),
      folder_(std::move(folder)),
      programs_(std::move(programs)),
      calls_(std::move(calls)),
      wishes_(std::move(wishes)),
      inotify_(std::move(inotify)) {
  loop_.watch(inotify_.get(), [this] { on_change(); });
}

QmpFolder::~QmpFolder() {
  loop_.forget(inotify_.get());
  loop_.cancel(rescan_);
}

void QmpFolder::watch_folder() {
  constexpr std::uint32_t kChanges = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM |
                                     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  watching_ = ::inotify_add_watch(inotify_.get(), folder_.c_str(), kChanges) >= 0;
}

void QmpFolder::on_change() {
  alignas(inotify_event) std::array<char, 16 << 10> buffer;
  while (::read(inotify_.get(), buffer.data(), buffer.size()) > 0) {
    // The folder is scanned anyway.
  }
  watch_folder();  // it may be another folder of that name
  scan();
}

void QmpFolder::scan_later() {
  rescan_ = loop_.after(kScanEvery, [this] {
    watch_folder();
    scan();
    scan_later();
  });
}

void QmpFolder::scan() {
  if (const Result<> may = check_folder(folder_); !may) {
    calls_.on_note(may.error().message, true);
    return;
  }
  const std::set<std::string> sockets = sockets_in(folder_);
  std::erase_if(monitors_, [&](const auto& entry) {
    return !sockets.contains(entry.first) && entry.second->gone();
  });
  for (const std::string& socket : sockets) {
    if (monitors_.contains(socket)) {
      continue;
    }
    const auto monitor = std::make_shared<HeldMonitor>(loop_, socket, programs_, calls_);
    if (const auto wish = wishes_.find(socket); wish != wishes_.end()) {
      monitor->wish(wish->second);
    }
    monitors_.emplace(socket, monitor);
    monitor->begin();
  }
}

HeldMonitor* QmpFolder::find(const std::string& socket) const {
  const auto found = monitors_.find(socket);
  return found != monitors_.end() ? found->second.get() : nullptr;
}

std::vector<GuestId> QmpFolder::guests() const {
  std::vector<GuestId> guests;
  for (const auto& [socket, monitor] : monitors_) {
    if (monitor->connected()) {
      guests.push_back(monitor->id());
    }
  }
  return guests;
}

Result<LentGuest> QmpFolder::lend(const GuestId& guest) {
  HeldMonitor* const monitor = find(guest.from);
  return monitor != nullptr ? monitor->lend()
                            : fail(Errc::not_found, "{}: its monitor has gone", guest.name);
}

void QmpFolder::take_back(const GuestId& guest, bool usable) {
  if (HeldMonitor* const monitor = find(guest.from)) {
    monitor->take_back(usable);
  }
}

void QmpFolder::leave(const GuestId& guest) {
  if (HeldMonitor* const monitor = find(guest.from)) {
    monitor->leave();
  }
}

void QmpFolder::act(const GuestId& guest, GuestDeed deed, bool only_if_stopped,
                    std::function<void(Result<>)> done) {
  if (HeldMonitor* const monitor = find(guest.from)) {
    monitor->act(deed, only_if_stopped, std::move(done));
    return;
  }
  loop_.after({}, [done = std::move(done), name = guest.name] {
    done(fail(Errc::not_found, "{}: its monitor has gone", name));
  });
}

void QmpFolder::arm(const std::string& socket, bool trap, HeldMonitor::Done done) {
  HeldMonitor* const monitor = find(socket);
  if (monitor == nullptr) {
    done(fail(Errc::not_found, "{}: vmcored holds no monitor of that name", socket));
    return;
  }
  monitor->arm(trap, or_as_before(socket, {.armed = true, .trap = trap}, std::move(done)));
}

HeldMonitor::Done QmpFolder::or_as_before(const std::string& socket, ArmWish wish,
                                          HeldMonitor::Done done) {
  const ArmWish before = std::exchange(wishes_[socket], wish);
  return [this, socket, before, done = std::move(done)](Result<> set) {
    if (!set) {
      wishes_[socket] = before;
    }
    done(std::move(set));
  };
}

void QmpFolder::disarm(const std::string& socket, HeldMonitor::Done done) {
  done = or_as_before(socket, {}, std::move(done));
  if (HeldMonitor* const monitor = find(socket)) {
    monitor->disarm(std::move(done));
  } else {
    done({});  // its QEMU has ended
  }
}

std::optional<acquire::ProcessKey> QmpFolder::process_of(const GuestId& guest) {
  const HeldMonitor* const monitor = find(guest.from);
  return monitor != nullptr ? monitor->process() : std::nullopt;
}

std::optional<config::AfterCrash> QmpFolder::wanted_after_crash(const GuestId& guest) {
  const HeldMonitor* const monitor = find(guest.from);
  return monitor != nullptr && monitor->connected() ? std::optional(monitor->wanted())
                                                    : std::nullopt;
}

}  // namespace vmcore::daemon
