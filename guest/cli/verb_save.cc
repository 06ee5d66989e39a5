// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <memory>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/config/capture_config.h"
#include "guest/image/disk_folder.h"
#include "guest/root/root.h"
#include "guest/save/save.h"
#include "src/base/whole_file.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::guest::cli {
namespace {

enum : int { kExitIncomplete = 3 };

struct Options {
  std::string vmcore = save::kVmcore;
  std::string output;
  std::vector<std::string> targets;
  std::string config;
  std::optional<unsigned> level;
  std::optional<unsigned> deadline;
};

Result<config::CaptureConfig> read_config(const Options& options) {
  config::CaptureConfig config;
  const std::string path =
      options.config.empty() ? std::string(config::kConfigFile) : options.config;
  if (auto text = read_file(path)) {
    auto parsed = config::parse_config(*text);
    if (!parsed) {
      return in_context(std::move(parsed).error(), path);
    }
    config = *std::move(parsed);
  } else if (!options.config.empty() || text.error().code != Errc::not_found) {
    return tl::unexpected(std::move(text).error());
  }
  if (!options.targets.empty()) {
    TRY(config::set_key(config, "target", options.targets));
  }
  if (!options.output.empty()) {
    config.targets = {{"output", options.output}};
  }
  config.level = options.level.value_or(config.level);
  config.deadline = std::chrono::seconds(
      options.deadline.value_or(static_cast<unsigned>(config.deadline.count())));
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  // With kdump-tools this runs in the guest itself, which later searches for the dump where it sees
  // the folder.
  return image::with_disk_folders(root, std::move(config));
}

int save(const Options& options, const Common& common) {
  const auto config = read_config(options);
  if (!config) {
    return report_error(config.error(), common);
  }
  std::optional<save::Clock::time_point> deadline;
  if (config->deadline.count() != 0) {
    deadline = save::Clock::now() + config->deadline;
  }
  const auto say = [](std::string_view line) { fmt::print(stderr, "vmcore-guest: {}\n", line); };
  switch (save::save_crash(options.vmcore, *config, {.deadline = deadline}, say)) {
    case save::SaveEnd::complete:
      return kExitDone;
    case save::SaveEnd::incomplete:
      return kExitIncomplete;
    case save::SaveEnd::nothing:
    case save::SaveEnd::died:
      break;
  }
  return report_error({Errc::io, "the crash was not saved"}, common);
}

}  // namespace

Run add_save(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("VMCORE", options->vmcore, "The crashed kernel's memory")
      ->capture_default_str();
  // The arguments of a core_collector of kdumpctl and kdump-tools: VMCORE FILE.
  command.add_option("-o,--file,FILE", options->output, "Write one dump, to this file")
      ->excludes(
          command.add_option("--target", options->targets,
                             "Where to save, in place of the configured targets; may be repeated"));
  command.add_option("-d,--level", options->level, "The pages to leave out, as makedumpfile -d")
      ->check(CLI::Range(0, 31));
  command.add_option("--config", options->config, "Configuration; default: /etc/vmcore-guest.conf");
  command.add_option("--deadline", options->deadline, "Give up after so many seconds; 0: never");
  return [options, &common] { return save(*options, common); };
}

}  // namespace vmcore::guest::cli
