#include <memory>

#include "guest/setup/command_line.h"
#include "guest/setup/kexec.h"
#include "guest/setup/report.h"
#include "guest/setup/root.h"
#include "guest/setup/verb.h"

namespace vmcore::guest {
namespace {

struct Options {
  std::string kernel;
  std::string image;
  std::string append;
  bool debug = false;
};

Result<> load(const Options& options) {
  TRY_ASSIGN(const Root root, Root::open("/"));
  TRY_ASSIGN(const std::string running, root.read("/proc/cmdline"));
  return load_kernel(Slot::crash, {.kernel = options.kernel,
                                   .initrd = options.image,
                                   .command_line = capture_command_line(running, options.append),
                                   .debug = options.debug});
}

int finish(const Result<>& result, const Common& common) {
  return result ? kExitDone : report_error(result.error(), common);
}

}  // namespace

Run add_load(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("--kernel-image", options->kernel, "The panic kernel")->required();
  command.add_option("--initrd", options->image, "The capture image")->required();
  command.add_option("--append", options->append, "Words for the end of its command line");
  command.add_flag("--debug", options->debug, "The kernel logs what it loads (Linux 6.8)");
  return [options, &common] { return finish(load(*options), common); };
}

Run add_unload(CLI::App&, const Common& common) {
  return [&common] { return finish(unload_kernel(Slot::crash), common); };
}

}  // namespace vmcore::guest
