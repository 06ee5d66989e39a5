// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/triage_report.h"

#include <string>
#include <utility>
#include <vector>

#include "src/convert/provenance.h"
#include "src/triage/early_report.h"

namespace vmcore::worker {
namespace {

report::TriageReport of_no_kernel(const MemoryImage& image, const kernel::FoundKernels& found) {
  if (found.doubted.empty()) {
    if (auto early = triage::early_report(*image.memory)) {
      return *std::move(early);
    }
  }
  std::string why = "the guest's kernel was not found";
  if (!found.remarks.empty()) {
    why += ": " + found.remarks.back().text;
  }
  return {.kernel = {.why_not = why},
          .panic = {.why_not = why},
          .modules = {.why_not = why},
          .cpus = {.why_not = why},
          .tasks = {.why_not = why},
          .log = {.why_not = why},
          .memory = {.why_not = why},
          .mounts = {.why_not = why},
          .files = {.why_not = why}};
}

}  // namespace

report::TriageReport triage_report(const MemoryImage& image, const convert::Subject& subject,
                                   const triage::TriageOptions& options, std::string consistency) {
  const kernel::GuestKernel* const kernel = subject.kernel();
  report::TriageReport report = kernel != nullptr
                                    ? triage::triage(subject.image(), *kernel, options)
                                    : of_no_kernel(image, subject.found);
  report.format = image.file.format;
  report.incomplete |= image.file.incomplete || image.file.doubted;
  std::vector<Remark> remarks = image.remarks;
  convert::remark_on_newer_note(image, remarks);
  if (auto before = convert::read_provenance(image)) {
    report.capture = std::move(before->capture);
    remarks.insert(remarks.end(), before->remarks.begin(), before->remarks.end());
  }
  if (consistency.empty() && report.capture) {
    consistency = report.capture->consistency;
  }
  report.consistency = std::move(consistency);
  remarks.insert(remarks.end(), subject.found.remarks.begin(), subject.found.remarks.end());
  report.remarks.insert(report.remarks.begin(), remarks.begin(), remarks.end());
  return report;
}

}  // namespace vmcore::worker
