// SPDX-License-Identifier: GPL-2.0-or-later
// InfoReport: what a dump file or a guest that is looked at tells of itself, as the JSON document
// of `vmcorectl info --output json` (docs/schema/info.json) has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/image/capture.h"

namespace vmcore::report {

struct ReservedMemory {
  bool loaded = false;  // a panic kernel is in it
  std::uint64_t start = 0;
  std::uint64_t size = 0;  // bytes; zero: there is none (crashkernel=)
};

struct KernelInfo {
  std::string release = {};
  std::string build_id = {};    // hex; empty where the kernel does not export it (before v5.9)
  std::string vmcoreinfo = {};  // where that was found: "note", "registers" or "search"
  // False where VMCOREINFO alone tells of the kernel: nothing below is known then.
  bool in_memory = true;
  std::uint64_t kaslr_offset = 0;  // bytes
  std::int64_t phys_base = 0;
  unsigned page_table_levels = 0;
  bool panicked = false;                              // as far as that can be told
  std::optional<ReservedMemory> capture_kernel = {};  // nothing where that cannot be told
};

struct CrashTime {
  std::int64_t epoch = 0;   // seconds
  std::string source = {};  // who tells: "guest", "host event", "file header"
};

struct CpuInfo {
  unsigned index = 0;
  std::uint64_t rip = 0;
  std::uint64_t rsp = 0;
  std::uint64_t rflags = 0;
  std::string mode = {};  // "user" or "kernel"
  std::uint64_t gs_base = 0;
  std::optional<std::uint64_t> cr3 = {};
  std::optional<std::uint64_t> cr4 = {};
};

struct InfoReport {
  static constexpr std::string_view kSchema = "vmcorectl-info/1";

  std::string format = {};   // of the file, for people
  std::string machine = {};  // "x86_64" or "unknown"
  std::uint64_t page_size = 4096;
  bool incomplete = false;
  unsigned level_asked = 0;
  unsigned level_reached = 0;
  std::optional<KernelInfo> kernel = {};
  std::optional<CrashTime> crash_time = {};
  std::optional<double> last_log_stamp = {};  // seconds since boot
  std::optional<Capture> capture = {};        // by vmcorectl, as the file tells
  std::vector<CpuInfo> cpus = {};
  std::vector<PhysRange> ram = {};
  // Pages.
  std::uint64_t ram_pages = 0;
  std::uint64_t pages_in_file = 0;
  std::uint64_t pages_excluded = 0;
  std::vector<std::pair<std::string, std::uint64_t>> pages_by_class = {};
  std::vector<Remark> remarks = {};
};

std::string to_json(const InfoReport& report);
// Errc::malformed where the text is no such document, or says what cannot be.
Result<InfoReport> info_from_json(std::string_view text);

}  // namespace vmcore::report
