// SPDX-License-Identifier: GPL-2.0-or-later
// The facts that decide whether a crash of this guest would be saved.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/kexec/early_copy.h"
#include "guest/kexec/estimate.h"
#include "guest/kexec/kernel_facts.h"
#include "guest/kexec/load.h"
#include "guest/kexec/reservation.h"
#include "guest/status/saved_dumps.h"

namespace vmcore::guest::status {

// The copy of the capture kernel in the initramfs (guest/kexec/early_copy.h).
struct EarlyFacts {
  bool set_up = false;                          // setup --early
  std::optional<kexec::EarlyCopy> copy = {};    // what the initramfs of this kernel got
  bool made = true;                             // no initramfs is older than the copy
  bool current = false;                         // it is of the capture image that load would load
  std::optional<kexec::EarlyLoad> loaded = {};  // at this boot
  std::string command = {};                     // makes the initramfs again
};

struct StatusFacts {
  std::string release;
  bool kexec = false;       // the kernel supports kexec
  std::string config = {};  // the CONFIG_ lines of the kernel; empty if not found
  std::optional<std::uint64_t> reserved = {};  // bytes
  std::vector<kexec::MemoryRange> ranges = {};
  kexec::Reservation booted = {};  // of the running kernel
  std::string kernel_says = {};    // kernel_on_crashkernel
  // Of the next boot: that of a kernel for which crashkernel= does not serve, if there is one. The
  // file is empty if no boot loader was found.
  std::string next_file = {};
  kexec::Reservation next = {};
  std::vector<std::string> undone = {};  // what the last setup did not finish
  bool set_up = false;
  kexec::LoadLocks locks = {};
  std::string image = {};    // path of the capture image; empty if none is built
  bool image_stale = false;  // is_stale (guest/image/stale_image.h)
  Result<kexec::Need> need = fail(Errc::not_found, "");  // of the running kernel
  bool loaded = false;
  std::optional<kexec::LoadRecord> record = {};  // what vmcore-guest loaded
  bool stays_valid = false;
  bool reload_rule = false;     // the udev rule exists
  bool notifies_first = false;  // crash_kexec_post_notifiers
  bool fw_cfg = false;          // the driver of fw_cfg is loaded
  bool vmcoreinfo_device = false;
  bool panic_driver = false;  // a driver of pvpanic is bound to a device
  bool port = false;          // the virtio-serial port kPortName exists
  Result<config::CaptureConfig> capture = config::CaptureConfig{};
  std::vector<Remark> broken_targets = {};  // one for each target that cannot work
  std::vector<Remark> missing_ways = {};  // one for each target whose device to the host is absent
  std::vector<Remark> network = {};       // one for each target that cannot be reached
  bool follows_network = false;           // the units that check the network exist
  std::optional<SavedDump> last = {};
  std::vector<std::string> unseen_targets = {};  // they may hold a newer dump
  EarlyFacts early = {};
  std::string pstore = {};         // newest_pstore
  std::string pstore_driver = {};  // where pstore keeps a log ("erst"); empty: nowhere
};

StatusFacts read_status(const root::Root& root);

// Whether CONFIG_`name` is y or m; nothing if the configuration does not mention it.
std::optional<bool> is_configured(std::string_view config, std::string_view name);

}  // namespace vmcore::guest::status
