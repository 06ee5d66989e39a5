// SPDX-License-Identifier: GPL-2.0-or-later
// Loads the capture kernel: chooses it, checks that it fits, and keeps a record of it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "guest/kexec/estimate.h"
#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::kexec {

// What vmcore-guest loaded last. Another program may have replaced it since; the kernel does not
// show that.
struct LoadRecord {
  std::string kernel;  // paths
  std::string image;
  std::string append;
  std::string tag;
  std::string command_line;
  std::chrono::nanoseconds started{};  // time since the boot
  bool force = false;                  // so that a reload uses it, too
  bool operator==(const LoadRecord&) const = default;
};
// Nothing if there is no record or it cannot be parsed.
std::optional<LoadRecord> parse_load_record(std::string_view json);
std::string format_load_record(const LoadRecord& record);
std::optional<LoadRecord> read_load_record(const root::Root& root);

struct LoadRequest {
  std::string kernel;  // path; empty: the running kernel
  std::string image;   // path; empty: that of the release, built if it is missing or stale
  std::string append;  // appended to its command line
  std::string tag;     // of `vmcore-guest test`; empty: none
  bool debug = false;
  bool force = false;  // replace the kernel of another program; load even if it may not fit
};

// The request that repeats the load.
LoadRequest request_of(const LoadRecord& record);

// Whether the capture kernel fits into `reserved` bytes. The error has the numbers and says what to
// do; a Remark warns if it barely fits. Pure.
Result<std::vector<Remark>> check_fit(const Need& need, std::uint64_t reserved);

// Loads the capture kernel and writes the record. Errc::invalid if a word of `append` begins with
// "vmcore." and is not a valid setting.
Result<std::vector<Remark>> load_capture_kernel(const root::Root& root, const LoadRequest& request);
// Repeats the load of the record if vmcore-guest loaded the kernel and the running kernel does not
// update it itself. Many simultaneous calls (CPUs that are added one by one) do the work of two.
Result<std::vector<Remark>> reload_capture_kernel(const root::Root& root);
// Repeats the load if its image is our own and is stale, and a new one can be built. After a failed
// build it does nothing for a while (may_build_again).
Result<std::vector<Remark>> refresh_capture_kernel(const root::Root& root);
Result<> unload_capture_kernel(const root::Root& root);

// Loads a kernel for `vmcore-guest exec`, with its initrd and the running command line. Empty
// `kernel` and `image`: those of the running release.
Result<> load_reboot_kernel(const root::Root& root, const LoadRequest& request);

}  // namespace vmcore::guest::kexec
