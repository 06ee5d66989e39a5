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

// The one that handles signals.
std::atomic<Interrupt*> receiver{nullptr};

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

void Interrupt::on_signal(int) {
  Interrupt* const self = receiver;
  if (self == nullptr) {
    return;
  }
  if (!self->armed_) {
    ::_exit(self->exit_code_);
  }
  const int saved = errno;
  const std::uint64_t one = 1;
  if (::write(self->fd(), &one, sizeof one) < 0) {
    // It is readable already.
  }
  ::alarm(self->grace_);
  errno = saved;
}

void Interrupt::on_alarm(int) {
  constexpr std::string_view kText =
      "vmcorectl: interrupted; QEMU, libvirt or the disk did not answer in time\n";
  if (::write(STDERR_FILENO, kText.data(), kText.size()) < 0) {
    // There is nobody to tell.
  }
  if (const Interrupt* const self = receiver) {
    ::_exit(self->exit_code_);
  }
}

Interrupt::Interrupt(int exit_code)
    : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), exit_code_(exit_code) {
  receiver = this;
  set_handlers(on_signal);
}

Interrupt::~Interrupt() {
  ::alarm(0);
  set_handlers(SIG_IGN);
  receiver = nullptr;
}

void Interrupt::arm() {
  grace_ = 0;
  armed_ = true;
}

void Interrupt::arm_for(unsigned grace) {
  struct sigaction action {};
  action.sa_handler = on_alarm;
  ::sigaction(SIGALRM, &action, nullptr);
  grace_ = grace;
  armed_ = true;
}

void Interrupt::rearm() {
  std::uint64_t signals = 0;
  if (::read(fd(), &signals, sizeof signals) < 0) {
    // There was none.
  }
}

}  // namespace vmcore::job
