// Loading the panic kernel: which one, whether it fits, and a record of it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "guest/kexec/estimate.h"
#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest {

// What was loaded last, by vmcore-guest. Another program may have put something else in its place
// since: the kernel does not tell.
struct LoadRecord {
  std::string kernel;  // paths
  std::string image;
  std::string append;
  std::string tag;
  std::string command_line;
  std::chrono::nanoseconds started{};  // since the boot
  bool force = false;                  // so that it is loaded again as it was
  bool operator==(const LoadRecord&) const = default;
};
// Nothing where there is none, or none that can be understood.
std::optional<LoadRecord> parse_load_record(std::string_view json);
std::string format_load_record(const LoadRecord& record);
std::optional<LoadRecord> read_load_record(const Root& root);

struct LoadRequest {
  std::string kernel;  // path; empty: that of the running kernel
  std::string image;  // path; empty: the one of that release, built anew where it is missing or old
  std::string append;  // for the end of its command line
  std::string tag;     // of a crash on purpose
  bool debug = false;
  bool force = false;  // over what another program loaded, and where it may not fit
};

// What loads that once more.
LoadRequest request_of(const LoadRecord& record);

// Whether it fits into `reserved` bytes: an error that has the numbers and what to do; a remark
// where it will be narrow. Pure.
Result<std::vector<Remark>> check_fit(const Need& need, std::uint64_t reserved);

// Loads it and leaves the record. Errc::invalid where a word of `append` begins with "vmcore." and
// the capture side does not understand it.
Result<std::vector<Remark>> load_panic_kernel(const Root& root, const LoadRequest& request);
// Loads what the record says once more, if it was ours and the kernel does not keep it valid by
// itself. Many of these at once (a machine whose CPUs come one by one) do the work of two.
Result<std::vector<Remark>> reload_panic_kernel(const Root& root);
// The same, if it was loaded with our own image, that is stale and a new one can be built. After a
// build that failed nothing is done for a while (may_build_again).
Result<std::vector<Remark>> refresh_panic_kernel(const Root& root);
Result<> unload_panic_kernel(const Root& root);

// The next reboot's kernel, with its initrd and the running command line: `kernel` and `image` may
// be empty for those of the running release.
Result<> load_reboot_kernel(const Root& root, const LoadRequest& request);

}  // namespace vmcore::guest
