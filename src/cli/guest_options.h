// SPDX-License-Identifier: GPL-2.0-or-later
// How a guest is named on the command line, and what is either a guest or a dump file.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/cli/loan.h"
#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/control/control.h"
#include "src/job/read_paused.h"
#include "src/vault/vault.h"

namespace vmcore::cli {

struct GuestOptions {
  acquire::Selection selection() const;
  std::chrono::milliseconds longest_pause() const;  // zero: no limit

  std::string domain;
  std::vector<std::string> domains;  // of verbs that take several
  std::string uri;
  std::string socket;
  std::string control = control::kUsualSocket;  // where a vmcored may listen
  std::string asked_as;                         // acquire::Selection
  bool by_id = false;
  bool by_name = false;
  bool allow_taint = false;
  StoreChoice store;
  bool is_crash = false;           // it is a stored crash and nothing else
  bool pause = false;              // of verbs that take a dump file as well
  std::string pause_limit = "2s";  // add_pause_limit()
};

// Adds the positional `name` and -c, --id, --name, --qmp and --socket.
void add_guest_options(CLI::App& command, GuestOptions& options, const std::string& name,
                       const std::string& help);

// The same for a verb that takes several: the positional DOMAIN fills `domains`.
void add_guests_options(CLI::App& command, GuestOptions& options, const std::string& help);

// selection(), with the monitor that a vmcored lends where it holds that of the QMP socket. `loan`
// outlives what uses the guest.
Result<acquire::Selection> reach_guest(const GuestOptions& options, std::optional<Loan>& loan);

void add_allow_taint(CLI::App& command, GuestOptions& options);
CLI::Option* add_pause_limit(CLI::App& command, GuestOptions& options, const std::string& help);

// The same for verbs that take a dump file as well.
void add_source_options(CLI::App& command, GuestOptions& options);
// Throws a CLI::ValidationError unless one source is named; add_source_options() has it called.
void check_source(const GuestOptions& options);
// The stored crash that the source names, open; nothing where it is a file or a guest. A word that
// names a crash and a domain is Errc::invalid.
Result<std::optional<vault::OpenCrash>> find_crash(const GuestOptions& source);
// Whether the source is a dump file, unless it is a stored crash: what has a slash, and what is
// there, is a file, unless an option says that it is a guest.
bool is_dump_file(const GuestOptions& source);
// What the operation says of the source that was named.
job::PausedText read_source(const GuestOptions& source, sandbox::Operation operation,
                            job::Interrupt& interrupt);
// What it says of a stored crash: its dump or, where it has none, its kernel log and its report.
Result<job::TextResult> read_crash(const vault::OpenCrash& crash, sandbox::Operation operation);
// Tells how a guest that stood still for it fared; the exit code, which would be `code` else.
int report_pause(const job::PausedText& result, int code, const Common& common);

}  // namespace vmcore::cli
