// SPDX-License-Identifier: GPL-2.0-or-later
// `arm` and `disarm`: both are what vmcored is asked to do.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "src/cli/loan.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/control/ask.h"
#include "src/report/json.h"

namespace vmcore::cli {
namespace {

using control::Answer;
using control::GuestStatus;
using control::Request;
using control::Verb;

struct Options {
  Request request;
  std::string socket = control::kUsualSocket;
};

std::string line_of(const GuestStatus& guest) {
  std::string line = fmt::format("{}: {}", guest.name, guest.armed ? "armed" : "not armed");
  if (guest.armed && !guest.on_crash_before.empty()) {
    line += fmt::format(", before: {}", guest.on_crash_before);
  }
  if (guest.trap_resets) {
    line += ", its resets are trapped";
  }
  if (!guest.missing.empty()) {
    line += (guest.armed ? ", but " : ": ") + guest.missing;
  }
  return line;
}

// `wanted`: what is missing was asked for.
int tell(const Answer& answer, bool wanted, const Common& common) {
  if (common.json) {
    std::fputs(report::document_text(report::Json::parse(control::to_json(answer))).c_str(),
               stdout);
  }
  int failed = 0;
  bool missing = false;
  for (const GuestStatus& guest : answer.guests) {
    if (!guest.error.empty()) {
      ++failed;
      const bool named = guest.error.starts_with(guest.name + ":");
      report_error({Errc::io, named ? guest.error : guest.name + ": " + guest.error});
      continue;
    }
    missing = missing || !guest.missing.empty();
    if (!common.json && !common.quiet) {
      fmt::print("{}\n", printable(line_of(guest)));
    }
  }
  const bool all = static_cast<std::size_t>(failed) == answer.guests.size();
  const bool whole = failed == 0 && !(wanted && missing);
  return whole ? kExitDone : failed > 0 && all ? kExitFailed : kExitNotAsAsked;
}

int run(const Options& options, const Common& common) {
  Request request = options.request;
  if (!request.socket.empty()) {
    std::error_code error;
    request.socket = std::filesystem::weakly_canonical(request.socket, error).string();
  }
  const auto answer = control::ask(options.socket, request);
  if (!answer) {
    return report_error(answer.error(), common);
  }
  if (answer->guests.empty() && !common.json && !common.quiet) {
    std::puts(request.verb == Verb::disarm ? "no guest is armed" : "vmcored knows no guest");
  }
  return tell(*answer, request.verb == Verb::arm, common);
}

void add_guests(CLI::App& command, Options& options) {
  command.add_option("DOMAIN", options.request.guests, "Guests: names or UUIDs");
  CLI::Option* const all =
      command.add_flag("--all", options.request.all, "All guests that vmcored watches");
  command.add_option("-c,--connect", options.request.uri,
                     "Only domains of the libvirt with this URI, as vmcored has it");
  command.add_option("--qmp", options.request.socket,
                     "The guest of that QMP socket, which is in a folder that vmcored watches");
  for (const char* const other : {"DOMAIN", "--qmp"}) {
    all->excludes(command.get_option(other));
  }
  add_socket_option(command, options.socket);
}

bool names_guests(const Request& request) {
  return request.all || !request.guests.empty() || !request.socket.empty();
}

}  // namespace

Run add_arm(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  options->request.verb = Verb::arm;
  add_guests(command, *options);
  command.add_flag("--trap-resets", options->request.trap_resets,
                   "Also stop a guest of a QEMU without libvirt before it resets or powers off, to "
                   "look whether its kernel panicked (QEMU 6.0)");
  command.parse_complete_callback([options] {
    if (!names_guests(options->request)) {
      options->request.verb = Verb::status;  // which guests there are
    }
  });
  return [options, &common] { return run(*options, common); };
}

Run add_disarm(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  options->request.verb = Verb::disarm;
  add_guests(command, *options);
  command.parse_complete_callback([options] {
    if (!names_guests(options->request)) {
      throw CLI::ValidationError("DOMAIN", "give guests, --qmp SOCKET or --all");
    }
  });
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
