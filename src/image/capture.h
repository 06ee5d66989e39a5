// SPDX-License-Identifier: GPL-2.0-or-later
// Capture: of which guest, when and how the memory of an image was taken. It stands in the dump's
// own note (convert/provenance.h), in messages and in reports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace vmcore {

inline constexpr std::size_t kMaxTag = 64;

// Whose memory it is, as the host knows it. A text is empty where that is not known.
struct GuestIdentity {
  std::string name = {};  // of the libvirt domain, or what QEMU was told by -name
  std::string uuid = {};  // "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
  std::string host = {};  // the node name of the host that it ran on
  std::string qemu = {};  // the version of its QEMU: "7.2.22"
  bool operator==(const GuestIdentity&) const = default;
};

// Values that are known only after the guest was read. They have fixed-width places in the note.
struct CaptureCost {
  std::optional<std::uint64_t> time = {};         // of the memory, seconds since the epoch
  std::optional<std::uint64_t> forecast_us = {};  // for how long it was expected to stand still
  std::optional<std::uint64_t> pause_us = {};     // for how long it stood still
  std::optional<std::int64_t> host_memory = {};   // bytes by which its process grew meanwhile
  std::optional<std::uint64_t> duration_us = {};  // from the job's begin to the end of the dump
  bool operator==(const CaptureCost&) const = default;
};

struct Capture {
  std::string method = {};
  std::string consistency = {};  // "stopped" (it did not run), "pause", "snapshot" or "torn"
  // Of a dump that the guest sent itself, who says that it crashed: "ordered" (it was crashed by
  // the one who took the dump), "event" (QEMU told of it), "claim" (the guest alone).
  std::string crash = {};
  std::string tag = {};  // the guest's word for a crash on purpose; at most kMaxTag bytes
  GuestIdentity guest = {};
  CaptureCost cost = {};
  bool operator==(const Capture&) const = default;
};

}  // namespace vmcore
