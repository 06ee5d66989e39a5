// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/interrupt.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string_view>

namespace vmcore::job {
namespace {

constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP};

// What a signal handler may touch.
std::atomic<int> event_fd{-1};
std::atomic<int> exit_code_before{0};
std::atomic<bool> armed{false};
std::atomic<unsigned> grace_after{0};  // seconds; zero: for ever

void on_signal(int) {
  if (!armed) {
    ::_exit(exit_code_before);
  }
  const int saved = errno;
  const std::uint64_t one = 1;
  if (::write(event_fd, &one, sizeof one) < 0) {
    // It is readable already.
  }
  ::alarm(grace_after);
  errno = saved;
}

void on_alarm(int) {
  constexpr std::string_view kText =
      "vmcorectl: interrupted; QEMU, libvirt or the disk did not answer in time\n";
  if (::write(STDERR_FILENO, kText.data(), kText.size()) < 0) {
    // There is nobody to tell.
  }
  ::_exit(exit_code_before);
}

void set_handlers(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals) {
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

Interrupt::Interrupt(int exit_code) {
  event_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  exit_code_before = exit_code;
  set_handlers(on_signal);
}

Interrupt::~Interrupt() {
  ::alarm(0);
  set_handlers(SIG_IGN);  // what is left is saying how it went
  ::close(event_fd.exchange(-1));
}

void Interrupt::arm() {
  grace_after = 0;
  armed = true;
}

void Interrupt::arm_for(unsigned grace) {
  struct sigaction action {};
  action.sa_handler = on_alarm;
  ::sigaction(SIGALRM, &action, nullptr);
  grace_after = grace;
  armed = true;
}

int Interrupt::fd() const { return event_fd; }

void Interrupt::rearm() {
  std::uint64_t signals = 0;
  if (::read(event_fd, &signals, sizeof signals) < 0) {
    // There was none.
  }
}

}  // namespace vmcore::job
