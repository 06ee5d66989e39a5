// What was found out about whether a crash of this guest would be saved.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/kexec/estimate.h"
#include "guest/kexec/kernel_facts.h"
#include "guest/kexec/load.h"
#include "guest/status/saved_dumps.h"

namespace vmcore::guest::status {

struct StatusFacts {
  std::string release;
  bool kexec = false;       // the kernel can load another
  std::string config = {};  // the kernel's own configuration; empty where it is not to be found
  std::optional<std::uint64_t> reserved = {};  // bytes
  std::vector<kexec::MemoryRange> ranges = {};
  std::string image = {};    // the capture image; empty where none is built
  bool image_stale = false;  // what it is made of has changed since
  Result<kexec::Need> need = fail(Errc::not_found, "");  // of the kernel that runs
  bool loaded = false;
  std::optional<kexec::LoadRecord> record = {};  // of what we loaded
  bool stays_valid = false;
  bool reload_rule = false;     // udev calls for a reload
  bool notifies_first = false;  // crash_kexec_post_notifiers
  bool fw_cfg = false;          // the driver of fw_cfg is there
  bool vmcoreinfo_device = false;
  bool panic_driver = false;  // and bound to a device
  bool port = false;          // the virtio-serial port to the host
  bool vsock = false;
  Result<config::CaptureConfig> capture = config::CaptureConfig{};
  std::vector<Remark> broken_targets = {};  // why they cannot work, one each
  std::vector<Remark> network = {};         // of targets that cannot be reached now, or then
  bool follows_network = false;             // it is looked at again when it is up, or changed
  std::optional<SavedDump> last = {};
  std::vector<std::string> unseen_targets = {};  // which may hold another
  std::string pstore = {};                       // a folder
};

StatusFacts read_status(const root::Root& root);

// Whether CONFIG_`name` is set, as a part of the kernel or as a module; nothing where the
// configuration says nothing of it.
std::optional<bool> is_configured(std::string_view config, std::string_view name);

}  // namespace vmcore::guest::status
