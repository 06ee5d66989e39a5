// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/debuginfo_text.h"

#include "src/show/text_line.h"

namespace vmcore::show {
namespace {

constexpr std::size_t kMostNames = 12;

std::string names_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMostNames); ++i) {
    text += (text.empty() ? "" : ", ") + names[i];
  }
  return names.size() <= kMostNames
             ? text
             : fmt::format("{} and {} more", text, names.size() - kMostNames);
}

void describe_vmlinux(const report::DebuginfoReport& report, std::string& out) {
  if (!report.vmlinux) {
    line(out, "vmlinux", "not found");
    return;
  }
  const report::DebugFileFound& file = *report.vmlinux;
  line(out, "vmlinux", file.path);
  const bool is_weak = file.matched_by == "release";
  line(out, "  matched by", file.matched_by + (is_weak ? ", which other builds may share" : ""));
  line(out, "  source", file.source);
}

void describe_modules(const report::DebuginfoReport& report, std::string& out) {
  if (!report.modules_known) {
    line(out, "modules", "the dump does not tell which ones are loaded");
    return;
  }
  const std::size_t all =
      report.modules.size() + report.missing_modules.size() + report.foreign_modules.size();
  line(out, "modules",
       fmt::format("{} of {}{}", report.modules.size(), all,
                   report.module_folder.empty() ? "" : " in " + report.module_folder));
  if (!report.missing_modules.empty()) {
    line(out, "  missing", names_of(report.missing_modules));
  }
  if (!report.foreign_modules.empty()) {
    line(out, "  out of tree",
         names_of(report.foreign_modules) + ": from who built them; give the folder with --from");
  }
}

void describe_advice(const report::PackageAdvice& advice, std::string& out) {
  if (!advice.package.empty()) {
    line(out, "package", fmt::format("{} ({})", advice.package, advice.distribution));
  }
  for (const std::string& repository : advice.repositories) {
    line(out, "  repository", repository);
  }
  for (const std::string& command : advice.commands) {
    line(out, "  command", command);
  }
  if (!advice.note.empty()) {
    line(out, "  note", advice.note);
  }
  if (!advice.package.empty()) {
    line(out, "  or", "download the package, and give its file with --from: it is not installed");
  }
}

}  // namespace

std::string debuginfo_text(const report::DebuginfoReport& report) {
  std::string out;
  line(out, "kernel", report.release);
  line(out, "build-id", report.build_id.empty() ? "not known" : report.build_id);
  describe_vmlinux(report, out);
  describe_modules(report, out);
  for (const report::DebugFileRefused& file : report.refused) {
    line(out, "refused", file.path + " " + file.why);
  }
  for (const Remark& remark : report.remarks) {
    line(out, remark_label(remark), remark.text);
  }
  if (report.advice) {
    describe_advice(*report.advice, out);
  }
  return out;
}

std::string advice_line(const report::PackageAdvice& advice) {
  return advice.package.empty()
             ? advice.note
             : fmt::format("install {} ({})", advice.package, advice.distribution);
}

}  // namespace vmcore::show
