// SPDX-License-Identifier: GPL-2.0-or-later
// Config: what the administrator of a host wants: which guests are watched, what is done when one
// crashes, and what the store may take (/etc/vmcorectl/vmcored.conf, vmcored.conf(5)).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/result.h"
#include "src/vault/budget.h"
#include "src/vault/vault.h"

namespace vmcore::config {

inline constexpr const char* kUsualFile = "/etc/vmcorectl/vmcored.conf";

// The policy of a guest: follows as soon as its memory is read; destroy, when its crash is kept.
enum class AfterCrash : std::uint8_t {
  as_domain,  // what its on_crash was before it was armed; of a guest without libvirt, QEMU's
              // action
  restart,
  destroy,
  preserve,
  resume,
};
// "restart": a stable word.
std::string_view after_crash_name(AfterCrash after);

// What is done when a guest's watchdog expires.
enum class OnHang : std::uint8_t { report, nmi, dump };

// What the administrator wants for one guest.
struct GuestPolicy {
  bool arm = false;  // its domain is armed each time it is found running
  AfterCrash after_crash = AfterCrash::as_domain;
  // In place of as_domain where what the domain wants cannot be known. Not as_domain.
  AfterCrash after_crash_default = AfterCrash::restart;
  OnHang on_hang = OnHang::report;
  unsigned level = 31;  // of its dumps
  // How long its own capture kernel may take until its dump is complete.
  std::chrono::seconds kdump_limit{600};
  // How long a dump from outside may take until it is complete.
  std::chrono::seconds dump_limit{900};
  vault::MemoryPolicy memory = {};
  vault::GuestLimits store = {};  // what its crashes may take
};

// A key and its value, both as text.
using Setting = std::pair<std::string, std::string>;

// A section [guest."WHO"] of a file.
struct GuestSection {
  std::string who;  // a name, a UUID, or a pattern (glob(7)) of either
  std::vector<Setting> settings = {};
};

struct Config {
  std::vector<std::string> uris = {};                   // of libvirt connections
  std::vector<std::filesystem::path> qmp_folders = {};  // whose sockets are QMP monitors
  std::filesystem::path store = vault::kUsualStore;
  vault::Budget budget = vault::kUsualBudget;  // load() fills in the limits of each guest
  unsigned dumps = 2;                          // that run at the same time
  // What all dumps together may take of the host: bytes for copies of memory, and processors.
  // Nothing: what one dump would take alone (job::whole_budget()).
  std::optional<std::uint64_t> memory = {};
  std::optional<unsigned> threads = {};
  std::filesystem::path hooks = "/etc/vmcorectl/hooks.d";
  std::chrono::seconds hook_limit{60};
  std::string hook_user = {};  // as whom hooks run; empty: as the service
  bool self_check = true;      // of each dump that is kept
  // Run over each dump that is kept, confined: of drgn (.py), else of the commands of crash.
  std::vector<std::filesystem::path> scripts = {};
  std::chrono::seconds script_limit{300};
  std::filesystem::path metrics = {};  // a Prometheus text file; empty: none
  GuestPolicy guests = {};             // where nothing else is said
  std::vector<GuestSection> sections = {};

  // What holds for the guest of that name and UUID: `guests`, then each section that fits; of two
  // that say something else, the later one.
  GuestPolicy policy_of(const std::string& name, const std::string& uuid) const;
};

// Reads the file, and the files `conf.d/*.conf` beside it in the order of their names; what a later
// one says holds. Errc::not_found if the file is not there; else the first of check()'s errors,
// with the number of the others.
Result<Config> load(const std::filesystem::path& file);

struct Checked {
  Config config = {};  // as far as it is right
  // "FILE:LINE: what is wrong: what to write". Errc::denied of a file that others may write to.
  std::vector<Error> errors = {};
};

// The same, with all errors.
Checked check(const std::filesystem::path& file);

// The whole configuration, as a file of it has it.
std::string effective_text(const Config& config);

// For `--check-config`. The text has a line for each error; without errors it is effective_text().
struct Verdict {
  bool right = false;  // there is no error
  std::string text = {};
};
Verdict check_config(const std::filesystem::path& file);

struct Asked {
  GuestPolicy policy = {};
  std::vector<std::string> errors = {};  // what is not done, and why
};

// What holds where the guest's own definition asks for that (acquire/libvirt/policy_metadata.h): a
// policy and budgets, nothing else. Its budgets and its level may ask for less than `policy`, never
// for more.
Asked as_asked(const GuestPolicy& policy, std::span<const Setting> settings);

}  // namespace vmcore::config
