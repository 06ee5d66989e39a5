// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/reports.h"

namespace vmcore::job {
namespace {

Result<report::DumpFile> dump_file(const Result<DumpResult>& result) {
  return result.map([](const DumpResult& dump) { return job::dump_file(dump); });
}

report::DumpedGuest dumped_guest(const GuestReport& guest) {
  report::DumpedGuest dumped{.identity = guest.identity,
                             .memory = guest.memory_size,
                             .state_before = guest.before.name,
                             .state_after = guest.after ? guest.after->name : "",
                             .as_found = guest.after == guest.before,
                             .method = std::string(acquire::method_name(guest.method)),
                             .consistency = guest.consistency,
                             .cost = cost_of(guest),
                             .remarks = guest.remarks};
  dumped.identity.name = guest.name;  // what it is called where it has no name
  return dumped;
}

report::ThenOutcome then_outcome(const GuestDumpResult& result, const std::string& then) {
  report::ThenOutcome outcome{.action = then};
  if (const auto& guest = result.guest) {
    outcome.done = guest->then_done;
    outcome.error = guest->then_error ? guest->then_error->message : "";
  }
  if (result.withheld) {
    outcome.withheld = result.withheld->why;
    outcome.by_hand = result.withheld->by_hand;
  }
  return outcome;
}

}  // namespace

report::DumpFile dump_file(const DumpResult& result) {
  return {.path = result.path.string(),
          .size = result.size_bytes,
          .summary = result.summary,
          .as_asked = result.as_asked()};
}

report::DumpReport report_of(const GuestDumpResult& result, const std::string& then) {
  report::DumpReport report{.dump = dump_file(result.dump)};
  if (result.guest) {
    report.guest = dumped_guest(*result.guest);
  }
  if (!then.empty()) {
    report.then = then_outcome(result, then);
  }
  return report;
}

report::ReceiveReport report_of(const ReceiveResult& result) {
  const ReceiveReport& received = result.report;
  report::ReceiveReport report{.dump = dump_file(result.dump),
                               .name = received.name,
                               .crash = received.crash,
                               .panic = received.panic,
                               .log = received.log.string()};
  if (const auto& hello = received.hello) {
    report.claim = report::GuestClaim{
        .release = hello->release, .tag = hello->tag, .memory = hello->ram_bytes};
  }
  return report;
}

}  // namespace vmcore::job
