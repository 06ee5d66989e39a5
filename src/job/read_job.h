// SPDX-License-Identifier: GPL-2.0-or-later
// What a dump file, or a guest that is not touched, tells as text.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "src/acquire/guest.h"
#include "src/acquire/method.h"
#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/job/run_worker.h"
#include "src/sandbox/messages.h"

namespace vmcore::job {

struct TextResult {
  std::string name;                                 // the guest's, or the file's without its folder
  std::string uuid = {};                            // the guest's, where it is known
  std::optional<acquire::ProcessKey> process = {};  // the guest's
  report::Summary summary;
  std::optional<InfoPlace> place;  // of the kernel's VMCOREINFO
  std::string text;
};

// The text that `operation` (info, report, dmesg, callers, memory) makes of a dump file.
Result<TextResult> read_file(const std::filesystem::path& input, sandbox::Operation operation,
                             unsigned threads);
// The same of a guest as it is at this time; it is neither paused nor are monitor commands sent
// behind libvirt's back.
Result<TextResult> read_guest(const acquire::Selection& guest, sandbox::Operation operation,
                              unsigned threads);

// The same of a guest that stands still once `await` has returned. All that can be done before is
// done before: the place of its RAM is proven, its kernel is found, a worker is started. The
// monitor of the selection is used before and after `await`.
Result<TextResult> read_guest_later(const acquire::Selection& guest, sandbox::Operation operation,
                                    unsigned threads, const std::function<Result<>()>& await);

// The report of the text of a kernel log or a console; "-" is standard input.
Result<TextResult> read_log(const std::filesystem::path& input);

// Runs a request whose output is text, without the name of its source; by the worker, which was
// given no request yet, or one of its own.
Result<TextResult> read_text(sandbox::Worker& worker, sandbox::Request request,
                             std::vector<sandbox::NamedFd> descriptors,
                             const WorkerCallbacks& callbacks);
Result<TextResult> read_text(sandbox::Request request, std::vector<sandbox::NamedFd> descriptors,
                             const WorkerCallbacks& callbacks);

// Opens a dump file for reading. Folders, pipes and terminals are Errc::invalid.
Result<Fd> open_dump_file(const std::filesystem::path& path);

}  // namespace vmcore::job
