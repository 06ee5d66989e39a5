// SPDX-License-Identifier: GPL-2.0-or-later
// LibvirtDump: one memory-only dump by libvirt, in its own thread, because the call returns only
// when the dump is over.
#pragma once

#include <libvirt/libvirt.h>

#include <chrono>
#include <memory>
#include <string>

#include "src/acquire/libvirt/connection.h"
#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::acquire {

class LibvirtDump {
 public:
  // Starts the call. The arguments are kept alive until it returns.
  static Result<std::unique_ptr<LibvirtDump>> start(virDomain* domain, const std::string& path);
  // A call that has not returned by then continues by itself.
  ~LibvirtDump() = default;

  // Readable when the call has returned.
  int returned_fd() const;
  // The result of the call; waits for it, Errc::guest_state at the timeout.
  Result<> wait(std::chrono::milliseconds timeout);
  // The call failed for what its path leads to, not for the domain: another kind of target may do.
  bool target_refused() const;

 private:
  struct Call;
  explicit LibvirtDump(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  std::shared_ptr<Call> call_;
};

// When libvirt told that a domain stopped and ran again.
class PauseWatch {
 public:
  // Begins to listen.
  static Result<std::unique_ptr<PauseWatch>> start(virConnect* connection, virDomain* domain);
  ~PauseWatch();
  PauseWatch(const PauseWatch&) = delete;
  PauseWatch& operator=(const PauseWatch&) = delete;

  // How long the domain was paused; waits until it runs again, Errc::guest_state at the timeout.
  // Zero if nothing paused it since start(): somebody else had paused it before. Call when the dump
  // is over. If the connection breaks, the result is an upper bound.
  Result<std::chrono::microseconds> wait_resumed(std::chrono::milliseconds timeout);

 private:
  struct Times;
  PauseWatch() = default;
  static int on_event(virConnectPtr, virDomainPtr, int event, int detail, void* times);

  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  LibvirtConnection connection_;
  int callback_ = -1;
  std::shared_ptr<Times> times_;  // shared with libvirt, which may be calling back when we go
};

}  // namespace vmcore::acquire
