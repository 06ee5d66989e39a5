// SPDX-License-Identifier: GPL-2.0-or-later
// GuestSetup: the configuration of a guest, as far as it matters to dumps, from its libvirt
// definition or its QEMU.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/acquire/method.h"
#include "src/acquire/qmp/registers.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// A program above libvirt that writes the definitions of its guests, and would undo changes of
// others.
struct Owner {
  const char* name;
  const char* knob;  // " (where it is changed there)", if that is known
};

struct GuestSetup {
  std::string name = {};
  std::string handle = {};          // what commands take for no other guest (acquire/commands.h)
  std::string machine = {};         // QEMU's name for it: "pc-q35-7.2"
  std::string arch = {};            // "x86_64", "aarch64"; empty where it is not told
  CpuMode mode = CpuMode::unknown;  // of a domain it is not known without a pause
  bool active = true;
  bool panic_device = false;
  bool vmcoreinfo_device = false;
  bool dump_channel = false;  // for what the guest's own capture kernel sends (crash/guest_line.h)
  std::optional<std::string> on_crash = {};  // libvirt's action; nothing without libvirt
  std::string encryption = {};               // of its memory: "sev", "tdx"; empty: none
  std::string memory = {};                   // what it lies in: "anonymous", "memfd", "huge pages"
  bool memory_shared = false;                // is mapped so that other processes can map it too
  std::uint64_t libvirt_version = 0;         // of a domain: version_of() of libvirt/connection.h
  bool snapshot_left_on = false;             // QEMU's migration capability background-snapshot
  const Owner* owner = nullptr;
  // Of a domain: it has a persistent definition, with which it will be as prepare_definition()
  // makes it when it is started the next time.
  bool persistent = false;
  bool ready_when_started = false;
};

// Errc::unsupported for the name of an encryption; the empty text means no encryption.
Result<> check_encryption(const std::string& encryption);

// Errc::guest_state for another architecture than x86, and for a 32-bit kernel: no method supports
// them.
Result<> check_kind(const std::string& arch, CpuMode mode);

// Asks libvirt or QEMU; the guest is not touched, and a domain need not run.
Result<GuestSetup> setup_of(const Selection& selection);

}  // namespace vmcore::acquire
