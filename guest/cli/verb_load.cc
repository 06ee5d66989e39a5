// SPDX-License-Identifier: GPL-2.0-or-later
#include <filesystem>
#include <memory>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/kexec/early_copy.h"
#include "guest/kexec/kexec.h"
#include "guest/kexec/load.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::guest::cli {
namespace {

struct Options {
  kexec::LoadRequest request;
  bool reboot = false;
  bool reload = false;
  bool refresh = false;
  bool early = false;
};

std::string absolute(const std::string& path) {
  return path.empty() ? "" : std::filesystem::absolute(path).string();
}

Result<std::vector<Remark>> load(const Options& options) {
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  kexec::LoadRequest request = options.request;
  request.kernel = absolute(request.kernel);
  request.image = absolute(request.image);
  if (options.reload) {
    return kexec::reload_capture_kernel(root);
  }
  if (options.refresh) {
    return kexec::refresh_capture_kernel(root);
  }
  if (options.early) {
    return kexec::load_early_copy(root);
  }
  if (options.reboot) {
    TRY(kexec::load_reboot_kernel(root, request));
    return std::vector<Remark>();
  }
  return kexec::load_capture_kernel(root, request);
}

Result<std::vector<Remark>> unload(bool reboot) {
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  TRY(reboot ? kexec::unload_kernel(kexec::Slot::reboot) : kexec::unload_capture_kernel(root));
  return std::vector<Remark>();
}

int finish(const Result<std::vector<Remark>>& result, const Common& common) {
  if (!result) {
    return report_error(result.error(), common);
  }
  print_remarks(*result);
  return kExitDone;
}

}  // namespace

Run add_load(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  kexec::LoadRequest& request = options->request;
  command.add_option("--kernel-image", request.kernel, "The kernel; default: the running kernel");
  command.add_option(
      "--initrd", request.image,
      "Its capture image; default: the image of that kernel, built if it is missing");
  command.add_option("--append", request.append, "Words to append to its command line");
  command.add_flag("--debug", request.debug, "Let the kernel log what it loads (Linux 6.8)");
  CLI::Option* force = command.add_flag(
      "--force", request.force,
      "Replace what another program loaded, and load even if the memory may not suffice");
  CLI::Option* reboot =
      command.add_flag("--reboot", options->reboot,
                       "Load a kernel for `vmcore-guest exec`, a reboot without firmware");
  CLI::Option* reload = command
                            .add_flag("--reload", options->reload,
                                      "Load again if CPUs or memory changed (run by udev)")
                            ->excludes(reboot)
                            ->excludes(force);
  CLI::Option* early =
      command
          .add_flag("--early", options->early,
                    "Load the copy in this initramfs (run by a script of the initramfs)")
          ->excludes(reboot)
          ->excludes(force)
          ->excludes(reload);
  command
      .add_flag(
          "--refresh", options->refresh,
          "Load again if the image is out of date, as when the network changed (run by a timer)")
      ->excludes(reboot)
      ->excludes(force)
      ->excludes(reload)
      ->excludes(early);
  return [options, &common] { return finish(load(*options), common); };
}

Run add_unload(CLI::App& command, const Common& common) {
  const auto reboot = std::make_shared<bool>(false);
  command.add_flag("--reboot", *reboot, "Unload the kernel that `load --reboot` loaded");
  return [reboot, &common] { return finish(unload(*reboot), common); };
}

}  // namespace vmcore::guest::cli
