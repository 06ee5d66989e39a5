#include "src/cli/guest_options.h"

#include <algorithm>
#include <filesystem>
#include <thread>

namespace vmcore::cli {

acquire::Selection GuestOptions::selection() const {
  acquire::Selection guest{.socket = socket, .uri = uri, .domain = domain};
  guest.look_up = by_id     ? acquire::LookUp::id
                  : by_name ? acquire::LookUp::name
                            : acquire::LookUp::any;
  return guest;
}

void add_guest_options(CLI::App& command, GuestOptions& options, const std::string& name,
                       const std::string& help) {
  command.add_option(name, options.domain, help);
  command.add_option("-c,--connect", options.uri, "libvirt's URI; default LIBVIRT_DEFAULT_URI");
  CLI::Option* by_id = command.add_flag("--id", options.by_id, "DOMAIN is an id");
  command.add_flag("--name", options.by_name, "DOMAIN is a name")->excludes(by_id);
  command.add_option("--qmp", options.socket, "The QMP socket of a QEMU, in place of a domain");
}

void add_source_options(CLI::App& command, GuestOptions& options) {
  add_guest_options(command, options, "SOURCE",
                    "A dump file of any known format, or a libvirt domain");
  command.parse_complete_callback([&options] {
    if (options.domain.empty() == options.socket.empty()) {
      throw CLI::ValidationError("SOURCE", "of what? Give a dump FILE, a DOMAIN or --qmp SOCKET");
    }
  });
}

Result<job::TextResult> read_source(const GuestOptions& source, sandbox::Operation operation) {
  const unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  const bool is_guest =
      !source.uri.empty() || !source.socket.empty() || source.by_id || source.by_name;
  std::error_code error;
  if (!is_guest && (source.domain.find('/') != std::string::npos ||
                    std::filesystem::exists(source.domain, error))) {
    return job::read_file(source.domain, operation, threads);
  }
  auto result = job::read_guest(source.selection(), operation, threads);
  if (!result && !is_guest) {
    return in_context(std::move(result).error(),
                      fmt::format("{} is no file here, and as a domain", source.domain));
  }
  return result;
}

}  // namespace vmcore::cli
