// Provenance: what vmcorectl did to a dump, kept in the dump as an ELF note of our own, so that the
// file itself says what was left out and what it may still hold.
//
// Note "VMCORECTL", type kNoteTypeProvenance, KEY=VALUE lines: VERSION, LEVEL_ASKED, LEVEL_REACHED,
// CRASH_TIME, CRASH_TIME_SOURCE, METHOD, CONSISTENCY, PAUSE_US, HOST_MEMORY, CRASH, TAG,
// PAGES(class), REMARK(code) (any number).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "filters/page_class.h"
#include "src/base/result.h"
#include "src/image/image.h"

namespace vmcore::convert {

inline constexpr std::string_view kNoteNameProvenance = "VMCORECTL";
// Chosen to be no type that any reader looks at without looking at the name ("vmc1").
inline constexpr std::uint32_t kNoteTypeProvenance = 0x31636d76;

// Where a crash time came from, best first.
enum class TimeSource : std::uint8_t { guest, host_event, file_header, none };
std::string_view time_source_name(TimeSource source);

inline constexpr std::size_t kMaxTag = 64;

// What reading the guest cost. Known only when that is done: in the note it has a place of fixed
// width.
struct CaptureCost {
  std::optional<std::uint64_t> pause_us = {};    // for how long the guest stood still for it
  std::optional<std::int64_t> host_memory = {};  // bytes by which the guest's process grew
};

// How the memory of a guest was had.
struct Capture {
  std::string method = {};
  std::string consistency = {};  // "stopped" (it did not run), "pause", "snapshot" or "torn"
  // Of a dump that the guest sent itself, who says that it crashed: "ordered" (it was crashed by
  // the one who took the dump), "event" (QEMU told of it), "claim" (the guest alone).
  std::string crash = {};
  std::string tag = {};  // the guest's word for a crash on purpose; at most kMaxTag bytes
  CaptureCost cost = {};
};

struct Provenance {
  std::string version = {};
  unsigned level_asked = 0;
  unsigned level_reached = 0;
  std::optional<std::uint64_t> crash_time = {};  // seconds since the epoch
  TimeSource crash_time_source = TimeSource::none;
  std::optional<Capture> capture = {};  // nothing where the source was a file of somebody else's
  std::array<std::uint64_t, filters::kPageClasses> pages_by_class{};
  std::vector<Remark> remarks = {};
};

// As long for every CaptureCost.
Note make_provenance_note(const Provenance& provenance);
// Nothing where the image has no such note. Lines that are not understood are skipped.
std::optional<Provenance> read_provenance(const MemoryImage& image);

// The dump level that was applied to the image already: what its provenance tells, else its header.
// 0 where neither does.
unsigned level_before(const MemoryImage& image);

}  // namespace vmcore::convert
