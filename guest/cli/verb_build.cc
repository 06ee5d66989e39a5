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

namespace vmcore::guest {
namespace {

struct Options {
  std::string kernel;
  std::string root = "/";
  std::string init;
  std::string config;
  std::string output;
};

// The running kernel; of an image, the only one that it has.
Result<std::string> chosen_kernel(const Root& root, const std::string& named) {
  if (!named.empty()) {
    return named;
  }
  utsname names{};
  if (root.running() && ::uname(&names) == 0) {
    return std::string(names.release);
  }
  const auto releases = root.list("/lib/modules");
  if (!releases || releases->size() != 1) {
    return fail(Errc::invalid, "name one with --kernel: /lib/modules has {}",
                releases ? fmt::format("{}", fmt::join(*releases, " ")) : "none");
  }
  return releases->front();
}

Result<CaptureConfig> chosen_config(const Root& root, const std::string& file) {
  if (file.empty()) {
    return read_config(root);
  }
  TRY_ASSIGN(const std::string text, read_file(file));
  auto config = parse_config(text);
  return config ? std::move(config) : in_context(std::move(config).error(), file);
}

// Gives the exit code.
Result<int> build(const Options& options) {
  // Under its name only when it is complete: a panic kernel may be loaded with it at any time.
  TRY_ASSIGN(auto output, staging::StagedFile::create(options.output, true));
  TRY_ASSIGN(const Root root, Root::open(options.root));
  ImageParts parts;
  TRY_ASSIGN(parts.release, chosen_kernel(root, options.kernel));
  TRY_ASSIGN(CaptureConfig config, chosen_config(root, options.config));
  std::vector<Remark> remarks;
  parts.config = with_disk_folders(root, with_network(root, std::move(config), remarks));
  const std::string init = options.init.empty() ? init_executable() : options.init;
  TRY_ASSIGN(parts.init, read_file(init));
  if (auto fits = check_init(parts.init); !fits) {
    return in_context(std::move(fits).error(), init);
  }
  TRY_ASSIGN(CaptureImage image, make_capture_image(root, parts));
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
  command.add_option("--kernel", options->kernel, "Its release; default: the running kernel");
  command.add_option("--root", options->root, "Where the guest's file system is mounted");
  command.add_option("--init", options->init, "The program that the capture kernel starts");
  command.add_option("--config", options->config, "In place of /etc/vmcore-guest.conf");
  command.add_option("-o,--file", options->output, "The image")->required();
  return [options, &common] {
    const Result<int> built = build(*options);
    return built ? *built : report_error(built.error(), common);
  };
}

}  // namespace vmcore::guest
