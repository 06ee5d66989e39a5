// SPDX-License-Identifier: GPL-2.0-or-later
// Config: what the administrator of a host wants: which guests are watched, what is done when one
// crashes, and what the store may take (/etc/vmcorectl/vmcored.conf, vmcored.conf(5)).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/vault/budget.h"
#include "src/vault/vault.h"

namespace vmcore::config {

inline constexpr const char* kUsualFile = "/etc/vmcorectl/vmcored.conf";

// What is done with a guest when its crash is kept, or its memory is read.
enum class AfterCrash : std::uint8_t {
  as_domain,  // what its on_crash was before it was armed; of a guest without libvirt, QEMU's
              // action
  restart,
  destroy,
  preserve,
  resume,
};

// What is done when a guest's watchdog expires.
enum class OnHang : std::uint8_t { report, nmi, dump };

// What the administrator wants for one guest.
struct GuestPolicy {
  bool arm = false;  // its domain is armed each time it is found running
  AfterCrash after_crash = AfterCrash::as_domain;
  OnHang on_hang = OnHang::report;
  unsigned level = 31;  // of its dumps
  // How long its own capture kernel may take until its dump is complete.
  std::chrono::seconds kdump_limit{600};
  // How long a dump from outside may take until it is complete.
  std::chrono::seconds dump_limit{900};
  vault::MemoryPolicy memory = {};
};

struct Config {
  std::vector<std::string> uris = {};                   // of libvirt connections
  std::vector<std::filesystem::path> qmp_folders = {};  // whose sockets are QMP monitors
  std::filesystem::path store = vault::kUsualStore;
  vault::Budget budget = vault::kUsualBudget;
  unsigned dumps = 2;  // that run at the same time
  std::filesystem::path hooks = "/etc/vmcorectl/hooks.d";
  std::chrono::seconds hook_limit{60};
  std::filesystem::path metrics = {};  // a Prometheus text file; empty: none
  GuestPolicy guests = {};             // where nothing else is said

  // What holds for the guest of that name and UUID.
  GuestPolicy policy_of(const std::string& name, const std::string& uuid) const;
};

// Reads the file, and the files of `conf.d` beside it in the order of their names. Errc::not_found
// if the file is not there; Errc::malformed names file and line.
Result<Config> load(const std::filesystem::path& file);

}  // namespace vmcore::config
