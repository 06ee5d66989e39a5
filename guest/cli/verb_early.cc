// SPDX-License-Identifier: GPL-2.0-or-later
#include <filesystem>
#include <memory>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/kexec/early_copy.h"
#include "guest/kexec/kernel_facts.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::guest::cli {
namespace {

struct Options {
  std::string kernel;
  std::string folder;
};

Result<std::vector<Remark>> make_copy(const Options& options) {
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  return kexec::make_early_copy(root,
                                options.kernel.empty() ? kexec::running_release() : options.kernel,
                                std::filesystem::absolute(options.folder).string());
}

}  // namespace

Run add_early(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("--kernel", options->kernel,
                     "Release of the kernel; default: the running kernel");
  command.add_option("FOLDER", options->folder, "Where the initramfs is being made")
      ->required()
      ->check(CLI::ExistingDirectory);
  return [options, &common] {
    const auto made = make_copy(*options);
    if (made) {
      print_remarks(*made);
    }
    return made ? kExitDone : report_error(made.error(), common);
  };
}

}  // namespace vmcore::guest::cli
