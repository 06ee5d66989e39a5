// SPDX-License-Identifier: GPL-2.0-or-later
#include <sys/utsname.h>

#include <cstdio>
#include <memory>
#include <span>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/image/capture_image.h"
#include "guest/image/disk_folder.h"
#include "guest/image/find_network.h"
#include "guest/root/read_config.h"
#include "guest/root/root.h"
#include "src/base/sys.h"
#include "src/base/whole_file.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/staging/staged_file.h"

namespace vmcore::guest::cli {
namespace {

struct Options {
  std::string kernel;
  std::string root = "/";
  std::string init;
  std::string config;
  std::string output;
};

// The running kernel; for an image, its only kernel.
Result<std::string> chosen_kernel(const root::Root& root, const std::string& named) {
  if (!named.empty()) {
    return named;
  }
  utsname names{};
  if (root.running() && ::uname(&names) == 0) {
    return std::string(names.release);
  }
  const auto releases = root.list("/lib/modules");
  if (!releases || releases->size() != 1) {
    return fail(Errc::invalid, "choose a kernel with --kernel; /lib/modules has: {}",
                releases ? fmt::format("{}", fmt::join(*releases, " ")) : "none");
  }
  return releases->front();
}

Result<config::CaptureConfig> chosen_config(const root::Root& root, const std::string& file) {
  if (file.empty()) {
    return root::read_config(root);
  }
  TRY_ASSIGN(const std::string text, read_file(file));
  auto config = config::parse_config(text);
  return config ? std::move(config) : in_context(std::move(config).error(), file);
}

// Returns the exit code.
Result<int> build(const Options& options) {
  // The image gets its name when it is complete, because a capture kernel may be loaded with it at
  // any time.
  TRY_ASSIGN(auto output, staging::StagedFile::create(options.output, true));
  TRY_ASSIGN(const root::Root root, root::Root::open(options.root));
  image::ImageParts parts;
  TRY_ASSIGN(parts.release, chosen_kernel(root, options.kernel));
  TRY_ASSIGN(config::CaptureConfig config, chosen_config(root, options.config));
  std::vector<Remark> remarks;
  parts.config =
      image::with_disk_folders(root, image::with_network(root, std::move(config), remarks));
  const std::string init = options.init.empty() ? image::init_executable() : options.init;
  TRY_ASSIGN(parts.init, read_file(init));
  if (auto fits = image::check_init(parts.init); !fits) {
    return in_context(std::move(fits).error(), init);
  }
  TRY_ASSIGN(image::CaptureImage image, image::make_capture_image(root, parts));
  remarks.insert(remarks.end(), image.remarks.begin(), image.remarks.end());
  print_remarks(remarks);
  const double size = static_cast<double>(image.bytes.size()) / (1 << 20);
  if (auto written = sys::write_full(output.fd(), std::as_bytes(std::span(image.bytes)));
      !written) {
    return in_context(std::move(written).error(), options.output);
  }
  TRY_ASSIGN(const staging::Kept kept, output.commit());
  fmt::print("{}: kernel {}, {} modules, {:.1f} MiB\n", printable(kept.path.string()),
             parts.release, image.modules.size(), size);
  if (kept.doubt) {
    print_remarks({*kept.doubt});
  }
  return kept.doubt ? kExitNotAsAsked : kExitDone;
}

}  // namespace

Run add_build(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("--kernel", options->kernel,
                     "Release of the kernel; default: the running kernel");
  command.add_option("--root", options->root, "Where the guest's file system is mounted");
  command.add_option("--init", options->init, "The program that the capture kernel starts");
  command.add_option("--config", options->config, "Configuration; default: /etc/vmcore-guest.conf");
  command.add_option("-o,--file", options->output, "The image to write")->required();
  return [options, &common] {
    const Result<int> built = build(*options);
    return built ? *built : report_error(built.error(), common);
  };
}

}  // namespace vmcore::guest::cli
