// SPDX-License-Identifier: GPL-2.0-or-later
// GuestLine: the host's end of the line through which a guest's own capture kernel sends its dump.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "src/acquire/crash/guest_keys.h"
#include "src/acquire/crash/watcher.h"
#include "src/acquire/method.h"
#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// The virtio-serial port that a guest's capture kernel looks for, and the vsock port that it
// connects to (guest/config/capture_config.h has the same; definition_test.cc compares them).
inline constexpr std::string_view kDumpChannel = "org.vmcorectl.dump.0";
inline constexpr std::uint32_t kDumpVsockPort = 30317;

struct GuestLine {
  std::string name;                   // the guest's, or what stands for it
  std::filesystem::path socket = {};  // that `fd` is connected to, where it is one
  Fd fd;                              // brings the stream
  Fd listener = {};                   // where guests connect (Callers), in place of `fd`
  std::optional<std::uint64_t> memory =
      {};  // bytes that the guest has at most, where that is known
  std::optional<CrashWatcher> watcher = {};  // of a domain whose events can be received
  GuestKeys keys = {};        // by what the line is known; none where several may read it
  GuestKeys guest_keys = {};  // by what the guest at its other end is, as far as that is known
};

// `from` is "-" (standard input), "vsock:" or "vsock:PORT", "tcp:PORT" or "tcp:ADDRESS:PORT" (an
// IPv6 address in brackets), the path of a UNIX socket (the host's end of the channel), of a file,
// pipe or disk that holds a stream, or else a libvirt domain.
// `selection` tells how a domain is looked up. Errc::not_found for a domain without the channel.
Result<GuestLine> open_guest_line(const std::string& from, Selection selection);

// Errc::busy, with its name, if another process is connected to the socket as well: QEMU serves one
// client, which would get what the guest sends. A process that is just ending is waited for.
Result<> check_alone(const GuestLine& line);

// Whether `from` is reached by a network.
bool is_tcp(const std::string& from);

}  // namespace vmcore::acquire
