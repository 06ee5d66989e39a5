// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/lease/hold.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vmcore::lease {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;  // in nanoseconds
constexpr std::int64_t kLookEvery = 50 * kMillisecond;
constexpr std::int64_t kStall = 10'000 * kMillisecond;
// Of the timer that kills: it must not fire where the host is merely busy.
constexpr std::int64_t kLifeline = 5'000 * kMillisecond;
constexpr std::int64_t kGrace = 150 * kMillisecond;  // behind the limit

std::int64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

timespec timespec_of(std::int64_t time) {
  return {static_cast<time_t>(time / 1'000'000'000), static_cast<long>(time % 1'000'000'000)};
}

void say(char what) {
  while (::write(kControlFd, &what, 1) < 0 && errno == EINTR) {
  }
}

bool has(const pollfd& waited, int events) { return (waited.revents & events) != 0; }

// Kills this process at that time, in whatever state it is then.
class Lifeline {
 public:
  Lifeline() {
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGKILL;
    there_ = ::timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
  }
  void wind_up(std::int64_t until) { set({.it_interval = {}, .it_value = timespec_of(until)}); }
  void cut() { set({}); }

 private:
  void set(const itimerspec& when) {
    if (there_) {
      ::timer_settime(timer_, TIMER_ABSTIME, &when, nullptr);
    }
  }
  timer_t timer_{};
  bool there_ = false;
};

// What proc_pid_stat(5) tells of a process.
struct Task {
  bool known = false;
  bool stopped = false;
  std::uint64_t ticks = 0;  // of processors that it used, in all of its threads
};

// The field of that number, counted from 1, of a text that begins with field 3.
std::string_view field(std::string_view text, int number) {
  for (int i = 3; i < number; ++i) {
    text.remove_prefix(std::min(text.find(' '), text.size() - 1) + 1);
  }
  return text.substr(0, text.find(' '));
}

std::uint64_t number_in(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Task look_at(int stat) {
  std::array<char, 1024> bytes;
  const ssize_t got = ::pread(stat, bytes.data(), bytes.size(), 0);
  const std::string_view text(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  // The name in front may have parentheses itself.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || text.size() < name_end + 3) {
    return {};
  }
  const std::string_view fields = text.substr(name_end + 2);
  constexpr int kState = 3;
  constexpr int kUserTime = 14;
  constexpr int kSystemTime = 15;
  const std::string_view state = field(fields, kState);
  return {.known = true,
          .stopped = state == "T" || state == "t",
          .ticks = number_in(field(fields, kUserTime)) + number_in(field(fields, kSystemTime))};
}

class Holding {
 public:
  // From here on the holder may be stopped.
  Holding(const Orders& orders, Lifeline& lifeline) : orders_(orders), lifeline_(lifeline) {
    wind_up(now());
  }

  // Returns when the lease must be dropped.
  Ending run();

 private:
  enum Wait { kControl, kParent, kWorker, kLease, kRelay, kWaits };

  void wind_up(std::int64_t time);
  std::int64_t until(std::int64_t time) const;
  void await();
  std::optional<Ending> over();
  std::optional<Ending> told() const;
  std::optional<Ending> looked_at();
  std::optional<Ending> moved();
  Ending let_go() const;

  const Orders& orders_;
  Lifeline& lifeline_;
  std::array<pollfd, kWaits> waits_{};
  bool relay_is_full_ = false;
  bool writer_is_gone_ = false;
  std::uint64_t bytes_ = 0;
  std::int64_t next_look_ = 0;
  std::uint64_t progress_ = 0;
  std::int64_t progressed_ = now();
};

Ending Holding::run() {
  while (true) {
    await();
    if (const auto ending = over()) {
      return *ending;
    }
  }
}

// Without a limit: later than anything that is done by it.
std::int64_t Holding::until(std::int64_t time) const {
  return orders_.until != 0 ? orders_.until : time + kStall;
}

void Holding::wind_up(std::int64_t time) {
  if (orders_.guarded) {
    lifeline_.wind_up(std::min(until(time) + kGrace, time + kLifeline));
  }
}

// One of both pipes is waited for, so that none that is ready wakes us up in vain. Their other ends
// are always told of; that of the lease once.
void Holding::await() {
  const bool unused = relay_is_full_ && writer_is_gone_;
  waits_ = {pollfd{kControlFd, POLLIN, 0}, pollfd{kParentFd, POLLIN, 0},
            pollfd{kWorkerFd, POLLIN, 0},
            pollfd{unused ? -1 : kLeaseFd, static_cast<short>(relay_is_full_ ? 0 : POLLIN), 0},
            pollfd{kRelayFd, static_cast<short>(relay_is_full_ ? POLLOUT : 0), 0}};
  if (!orders_.guarded) {
    ::ppoll(waits_.data(), waits_.size(), nullptr, nullptr);
    return;
  }
  const std::int64_t time = now();
  wind_up(time);
  const timespec most = timespec_of(
      std::clamp(std::min(until(time), next_look_) - time, std::int64_t{0}, kLookEvery));
  ::ppoll(waits_.data(), waits_.size(), &most, nullptr);
}

std::optional<Ending> Holding::over() {
  if (const auto ending = told()) {
    return ending;
  }
  if (has(waits_[kWorker], POLLIN)) {
    return Ending::died;
  }
  if (orders_.guarded && orders_.until != 0 && now() >= orders_.until) {
    return Ending::limit;
  }
  if (const auto ending = moved()) {
    return ending;
  }
  return orders_.guarded && now() >= next_look_ ? looked_at() : std::nullopt;
}

std::optional<Ending> Holding::told() const {
  if (has(waits_[kParent], POLLIN) || waits_[kControl].revents != 0) {
    return let_go();
  }
  return std::nullopt;
}

Ending Holding::let_go() const {
  pollfd writer{kLeaseFd, 0, 0};
  ::poll(&writer, 1, 0);
  return has(writer, POLLHUP) ? Ending::ended : Ending::held;
}

// Passes on what there is.
std::optional<Ending> Holding::moved() {
  if (has(waits_[kRelay], POLLERR)) {  // nobody reads it any more
    return let_go();
  }
  writer_is_gone_ = writer_is_gone_ || has(waits_[kLease], POLLHUP);
  if (writer_is_gone_ && !orders_.whole) {
    return Ending::ended;
  }
  if (!has(waits_[kLease], POLLIN | POLLHUP) && !has(waits_[kRelay], POLLOUT)) {
    return std::nullopt;
  }
  constexpr std::size_t kPortion = 1U << 20;
  const ssize_t got =
      ::splice(kLeaseFd, nullptr, kRelayFd, nullptr, kPortion, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (got > 0) {
    bytes_ += static_cast<std::uint64_t>(got);
  } else if (got == 0) {
    return Ending::ended;
  } else if (errno == EAGAIN) {
    relay_is_full_ = !relay_is_full_;  // what was waited for was ready, so it is the other one
  } else if (errno != EINTR) {
    return let_go();
  }
  return std::nullopt;
}

std::optional<Ending> Holding::looked_at() {
  const std::int64_t time = now();
  next_look_ = time + kLookEvery;
  const Task first = look_at(kParentStatFd);
  const Task second = look_at(kWorkerStatFd);
  if (first.stopped || second.stopped) {
    return Ending::stopped;
  }
  const std::uint64_t progress = bytes_ + first.ticks + second.ticks;
  const bool begun = bytes_ != 0;  // before it QEMU or libvirt may wait, and the guest runs
  if (progress != progress_ || !begun || !first.known || !second.known) {
    progress_ = progress;
    progressed_ = time;
  }
  return time - progressed_ >= kStall ? std::optional(Ending::stalled) : std::nullopt;
}

// Waits for the end of the job.
void see_out() {
  while (true) {
    std::array<pollfd, 2> waits{pollfd{kControlFd, POLLIN, 0}, pollfd{kParentFd, POLLIN, 0}};
    ::poll(waits.data(), waits.size(), -1);
    char told = 0;
    const ssize_t got = waits[0].revents != 0 ? ::read(kControlFd, &told, 1) : 1;
    if (told == kGoodbye) {
      return;
    }
    if (got == 0 || has(waits[1], POLLIN)) {  // vmcorectl is dead, and its job ends with it
      ::syscall(SYS_pidfd_send_signal, kWorkerFd, SIGKILL, nullptr, 0);
      return;
    }
  }
}

}  // namespace

int hold(const Orders& orders) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) {
    ::signal(signal, SIG_IGN);
  }
  ::mlockall(MCL_CURRENT);  // as far as the user may
  Lifeline lifeline;
  look_at(kParentStatFd);  // the kernel makes their buffers now
  look_at(kWorkerStatFd);
  Holding holding(orders, lifeline);
  say(kReady);
  const Ending ending = holding.run();
  ::close(kLeaseFd);
  lifeline.cut();
  say(static_cast<char>(ending));
  ::close(kRelayFd);
  see_out();
  return 0;
}

}  // namespace vmcore::lease
