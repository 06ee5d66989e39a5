// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/audit_trail.h"

#include <utility>

#include "src/job/reports.h"

namespace vmcore::cli {
namespace {

using audit::Deed;

std::string name_of(const acquire::Selection& asked) {
  return asked.domain.empty() ? asked.socket.string() : asked.domain;
}

std::string number(const std::optional<std::uint64_t>& value) {
  return value ? fmt::format("{}", *value) : "";
}

template <class Value>
std::string result_of(const Result<Value>& result) {
  return result ? std::string(audit::kDone) : result.error().message;
}

std::string result_of(const Result<report::DumpFile>& dump) {
  return dump && !dump->as_asked ? "kept, but not as asked" : result_of<report::DumpFile>(dump);
}

void add_dump(audit::Record& record, const Result<report::DumpFile>& dump) {
  record.result = result_of(dump);
  if (dump) {
    record.fields.emplace_back("VMCORECTL_LEVEL", fmt::format("{}", dump->summary.level_reached));
    record.fields.emplace_back("VMCORECTL_FILE", dump->path);
    record.fields.emplace_back("VMCORECTL_BYTES", number(dump->size));
  }
}

void audit_then(const report::DumpReport& report, const audit::Record& dump) {
  if (const auto& then = report.then) {
    const std::string& why = then->error.empty() ? then->withheld : then->error;
    audit::write({.deed = Deed::policy,
                  .guest = dump.guest,
                  .uuid = dump.uuid,
                  .result = then->done ? std::string(audit::kDone) : why,
                  .fields = {{"VMCORECTL_ACTION", then->action}}});
  }
}

const char* word_of(sandbox::Operation operation) {
  switch (operation) {
    case sandbox::Operation::dmesg:
      return "dmesg";
    case sandbox::Operation::memory:
      return "memory";
    case sandbox::Operation::report:
    case sandbox::Operation::symbols:
    case sandbox::Operation::page:
      return "report";
    default:
      return "info";
  }
}

}  // namespace

void audit_dump(const report::DumpReport& report, const acquire::Selection& asked) {
  audit::Record record{.guest = name_of(asked)};
  add_dump(record, report.dump);
  if (report.dump && !report.dump->size) {
    record.deed = Deed::live_read;
    record.fields.emplace_back("VMCORECTL_OPERATION", "dry run of a dump");
  }
  if (const auto& guest = report.guest) {
    record.guest = guest->identity.name;
    record.uuid = guest->identity.uuid;
    record.fields.emplace_back("VMCORECTL_METHOD", guest->method);
    record.fields.emplace_back("VMCORECTL_PAUSE_US", number(guest->cost.pause_us));
  }
  audit::write(record);
  audit_then(report, record);
}

void audit_received(const report::ReceiveReport& report) {
  audit::Record record{.deed = Deed::receive, .guest = report.name};
  add_dump(record, report.dump);
  record.fields.emplace_back("VMCORECTL_LOG", report.log);
  record.fields.emplace_back("VMCORECTL_WITNESS", report.crash);
  audit::write(record);
}

void audit_crash(const Result<job::CrashResult>& result, const acquire::Selection& asked,
                 const std::string& by) {
  audit::write({.deed = Deed::crash_guest,
                .guest = result ? result->received.report.name : name_of(asked),
                .result = result_of(result),
                .fields = {{"VMCORECTL_ACTION", by}}});
  if (!result) {
    return;
  }
  audit_received(job::report_of(result->received));
  if (result->outside) {
    audit_dump(job::report_of(*result->outside, ""), asked);
  }
}

void audit_look(const job::PausedText& read, const acquire::Selection& asked,
                sandbox::Operation operation) {
  audit::Record record{.deed = Deed::live_read,
                       .guest = read.text ? read.text->name : name_of(asked),
                       .result = result_of(read.text),
                       .fields = {{"VMCORECTL_OPERATION", word_of(operation)}}};
  if (read.text) {
    record.uuid = read.text->uuid;
  }
  if (const auto& guest = read.guest) {
    record.guest = guest->name;
    record.uuid = guest->identity.uuid;
    record.fields.emplace_back("VMCORECTL_PAUSE_US", number(job::cost_of(*guest).pause_us));
  }
  audit::write(record);
}

void audit_stored(audit::Deed deed, const report::ListedCrash& crash, const Result<>& done,
                  const std::string& action, const std::string& file) {
  audit::Record record{
      .deed = deed,
      .result = result_of(done),
      .fields = {
          {"VMCORECTL_CRASH", crash.id}, {"VMCORECTL_ACTION", action}, {"VMCORECTL_FILE", file}}};
  if (crash.manifest) {
    record.guest = crash.manifest->capture.guest.name;
    record.uuid = crash.manifest->capture.guest.uuid;
  }
  audit::write(record);
}

}  // namespace vmcore::cli
