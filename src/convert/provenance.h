// Provenance: what vmcorectl did to a dump, kept in the dump as an ELF note of our own, so that the
// file itself says what was left out and what it may still hold.
//
// Note "VMCORECTL", type kNoteTypeProvenance, KEY=VALUE lines: VERSION, LEVEL_ASKED, LEVEL_REACHED,
// CRASH_TIME, CRASH_TIME_SOURCE, METHOD, CONSISTENCY, PAUSE_US, HOST_MEMORY, CRASH, TAG,
// PAGES(class), REMARK(code) and FACT(code) (any number: a warning, a fact).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "filters/page_class.h"
#include "src/base/result.h"
#include "src/image/capture.h"
#include "src/image/image.h"

namespace vmcore::convert {

inline constexpr std::string_view kNoteNameProvenance = "VMCORECTL";
// Chosen to be no type that any reader looks at without looking at the name ("vmc1").
inline constexpr std::uint32_t kNoteTypeProvenance = 0x31636d76;

// Where a crash time came from, best first.
enum class TimeSource : std::uint8_t { guest, host_event, file_header, none };
std::string_view time_source_name(TimeSource source);

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
