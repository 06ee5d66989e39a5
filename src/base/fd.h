// SPDX-License-Identifier: GPL-2.0-or-later
// Fd: owns one file descriptor and closes it. All are close-on-exec.
#pragma once

#include <unistd.h>

#include <utility>

#include "src/base/result.h"

namespace vmcore {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  // Gives the descriptor away; the caller closes it.
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) {
      ::close(fd_);
      fd_ = -1;
    }
  }

 private:
  int fd_ = -1;
};

// Another descriptor of the same open file.
Result<Fd> duplicate(int fd);
// Whether it can be read without waiting: there is something, or its end. False for no descriptor.
bool is_readable(int fd);
// An empty file in memory. `name` shows in /proc only.
Result<Fd> make_memory_file(const char* name);

}  // namespace vmcore
