// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>

#include <memory>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/kexec/kernel_facts.h"
#include "src/base/sys.h"

namespace vmcore::guest::cli {
namespace {

constexpr std::string_view kLimit = "/proc/sys/kernel/kexec_load_limit_panic";
constexpr std::string_view kDisabled = "/proc/sys/kernel/kexec_load_disabled";

struct Options {
  bool disable = false;
  bool force = false;
};

Result<> write_setting(const root::Root& root, std::string_view path, std::string_view text) {
  TRY_ASSIGN(const Fd file, root.open(path, O_WRONLY));
  if (auto written = sys::write_full(file.get(), std::as_bytes(std::span(text))); !written) {
    return in_context(std::move(written).error(), path);
  }
  return {};
}

Result<> lock(const Options& options) {
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  if (!kexec::is_loaded(root, kexec::Slot::crash)) {
    return fail(Errc::guest_state,
                "no capture kernel is loaded, and after a lock none can be loaded: run "
                "vmcore-guest load first");
  }
  if (!kexec::stays_valid(root) && !options.force) {
    return fail(Errc::guest_state,
                "the capture kernel must be reloaded when CPUs or memory change (no "
                "/sys/devices/system/{{cpu,memory}}/crash_hotplug), and a lock prevents that: use "
                "--force if they never change");
  }
  if (options.disable) {
    return write_setting(root, kDisabled, "1");
  }
  if (!root.exists(kLimit)) {
    return fail(Errc::unsupported,
                "{} needs Linux 6.3: use --disable, which also prevents fast reboots", kLimit);
  }
  return write_setting(root, kLimit, "0");
}

}  // namespace

Run add_lock(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_flag("--disable", options->disable,
                   "Prevent loading any kernel until the next boot (kexec_load_disabled)");
  command.add_flag("--force", options->force,
                   "Lock even if a change of CPUs or memory would require a reload");
  return [options, &common] { return report(lock(*options), common); };
}

}  // namespace vmcore::guest::cli
