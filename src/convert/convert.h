// SPDX-License-Identifier: GPL-2.0-or-later
// The conversion: a memory image in, a filtered dump out. Runs in the worker and in the guest's
// capture environment; descriptors only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "filters/plan.h"
#include "src/base/result.h"
#include "src/convert/provenance.h"
#include "src/formats/dump_writer.h"
#include "src/image/conversion.h"
#include "src/image/image.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::convert {

struct ConvertOptions {
  // Its format, codec and verification are for whoever makes the writer and reads the dump again.
  Conversion how = {};
  // Bytes of guest memory that are planned and written at a time, so that what is held of the plan
  // does not grow with the guest; struct pages are then read twice. Made a multiple of 1 GiB. Zero:
  // all of it.
  std::uint64_t window = 0;
  // The guest runs while it is read: its registers are of another moment than its memory.
  bool torn = false;
  // How hard to look for a kernel that no note tells of.
  kernel::Search search = kernel::Search::memory;
  std::optional<InfoPlace> hint = {};  // where it was found before
  // When the host saw the guest crash (seconds since the epoch); used where the guest does not
  // tell.
  std::optional<std::uint64_t> host_event_time = {};
  // How the image was had, where it is a guest's own memory.
  std::optional<Capture> capture = {};
};

// Is told how a conversion goes, from any of its threads.
class Observer {
 public:
  virtual ~Observer() = default;
  // `done` of `all` kept pages are in the file.
  virtual void progress(std::uint64_t done, std::uint64_t all) = 0;
  // Nothing more will be read from the source: a guest that waits may run.
  virtual void source_read() = 0;
  // The headers, and of a window that was planned the pages that lead to the kernel and its log,
  // are in the file.
  virtual void log_written() {}
};

struct Outcome {
  filters::Plan plan;              // its pages only where they were planned all at once
  std::uint64_t lost_pages = 0;    // the plan's lost pages, and kept ones that could not be read
  bool incomplete = false;         // pages are missing: lost now, or already in the source
  std::string release;             // of the kernel, empty where none was found
  std::string build_id;            // of it, hex; empty where it exports none (before v5.9)
  std::optional<bool> armed;       // it has a panic kernel loaded; known of plan_only()
  bool panicked = false;           // it is in its panic, as far as that can be told
  std::optional<InfoPlace> place;  // of its VMCOREINFO, for the next look
  Provenance provenance;           // as it stands in the file
  // What was written, where that is not the whole image: the crashed kernel beside a capture kernel
  // (crashed_kernel.h).
  std::shared_ptr<const MemoryImage> crashed;
  std::vector<Remark> remarks;  // all, also those of the source and the plan

  // Everything that was asked for is in the file, and nothing that was to be left out.
  bool as_asked() const {
    return !incomplete && (plan.level_reached & plan.level_asked) == plan.level_asked;
  }
};

// Decides what would be written, and writes nothing.
Result<Outcome> plan_only(const MemoryImage& image, const ConvertOptions& options,
                          std::stop_token stop);

class CopiedMemory;

// For a guest that waits until it is read. Both pointers may be null.
struct Waiting {
  // The memory of the image: what is kept is copied first, as far as there is room.
  CopiedMemory* copied = nullptr;
  const kernel::FoundKernels* kernels = nullptr;  // which were found of the same guest before
  bool without_poison = false;                    // Rehearsal::without_poison
  // The guest runs again when it is read: Conversion::bandwidth does not delay that.
  bool is_paused = true;
};

// Writes the dump. An Error leaves an unusable file behind: the caller throws it away.
Result<Outcome> convert(const MemoryImage& image, formats::DumpWriter& writer,
                        const ConvertOptions& options, Observer& observer, std::stop_token stop,
                        const Waiting& waiting = {});

// Adds to a dump that `writer` has finished what it cost.
Result<> record_cost(formats::DumpWriter& writer, const CaptureCost& cost, Outcome& outcome);

// Reads `written`, which `outcome` describes, and compares every kept page that its source has.
// Fails with Errc::malformed, naming the first page that differs.
Result<> verify(const MemoryImage& source, const MemoryImage& written, const Outcome& outcome,
                std::stop_token stop);

}  // namespace vmcore::convert
