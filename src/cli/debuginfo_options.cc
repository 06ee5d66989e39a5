// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/debuginfo_options.h"

#include <unistd.h>

#include <cstdio>

#include "src/base/printable.h"

namespace vmcore::cli {

void add_debuginfo_options(CLI::App& command, DebuginfoOptions& options) {
  command
      .add_option("--from", options.from,
                  "A vmlinux, a folder, a package (.deb, .ddeb, .rpm) or an archive (.tar.*) that "
                  "may have it; nothing is installed; may be repeated")
      ->allow_extra_args(false);
  command.add_flag("--fetch", options.fetch,
                   "Ask the debuginfod servers of DEBUGINFOD_URLS for what is not found");
  command.add_option("--cache", options.cache,
                     "The folder for what is unpacked or fetched; default: "
                     "~/.cache/vmcorectl/symbols");
}

Result<debuginfo::WantedKernel> wanted_kernel(const report::TriageReport& report,
                                              const std::optional<report::InfoReport>& info) {
  debuginfo::WantedKernel kernel;
  if (const auto& known = report.kernel.value) {
    kernel = {.release = known->release, .build_id = known->build_id, .banner = known->banner};
  } else if (info && info->kernel) {
    kernel = {.release = info->kernel->release, .build_id = info->kernel->build_id};
  } else {
    return fail(Errc::not_found, "the kernel is not known: {}", report.kernel.why_not);
  }
  kernel.modules_known = report.modules.value.has_value();
  for (const report::TriageModule& module :
       report.modules.value.value_or(std::vector<report::TriageModule>())) {
    kernel.modules.push_back(
        {.name = module.name, .build_id = module.build_id, .out_of_tree = module.out_of_tree});
  }
  return kernel;
}

Result<report::DebuginfoReport> find_debuginfo(const debuginfo::WantedKernel& kernel,
                                               const DebuginfoOptions& options, bool quiet) {
  const bool shown = !quiet && ::isatty(STDERR_FILENO) != 0;
  const auto cache = options.cache.empty() ? debuginfo::usual_cache() : options.cache;
  auto found =
      debuginfo::find_debuginfo(kernel, {.from = options.from,
                                         .cache = cache.value_or(""),
                                         .fetch = options.fetch,
                                         .progress = [shown](const std::string& text) {
                                           if (shown) {
                                             fmt::print(stderr, "\r\033[K{}", printable(text));
                                             std::fflush(stderr);
                                           }
                                         }});
  if (shown) {
    std::fputs("\r\033[K", stderr);
  }
  return found;
}

}  // namespace vmcore::cli
