// SPDX-License-Identifier: GPL-2.0-or-later
// Loads the capture kernel: chooses it, checks that it fits, and keeps a record of it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "guest/image/ready_image.h"
#include "guest/kexec/early_copy.h"
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
  std::string early = {};              // sum of the early copy that was loaded; empty: none
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

// Time since the boot.
std::chrono::nanoseconds since_boot();

// Our capture image of a release, built if it is missing or out of date.
Result<image::ReadyImage> our_image(const root::Root& root, const std::string& release);

// Loads the capture kernel and writes the record. Does nothing if the early copy that is loaded is
// of the same image, and stays valid whatever CPUs and memory come. Errc::invalid if a word of
// `append` begins with "vmcore." and is not a valid setting.
Result<std::vector<Remark>> load_capture_kernel(const root::Root& root, const LoadRequest& request);
// Loads the files of an early copy. The record names what they were copied from, because they are
// gone when the initramfs has ended.
Result<std::vector<Remark>> load_copy(const root::Root& root, const EarlyCopy& copy,
                                      const LoadRequest& files);
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
