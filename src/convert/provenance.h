// SPDX-License-Identifier: GPL-2.0-or-later
// Provenance: what vmcorectl did to a dump, kept in the dump as an ELF note of our own, so that the
// file itself says what was left out and what it may still hold.
//
// Note "VMCORECTL", type kNoteTypeProvenance, KEY=VALUE lines (docs/formats/note.md). Versions: a
// new key leaves the version as it is, for readers skip what they do not know; the version rises
// where a reader of the one before would take something wrong. A note of a newer version is not
// read. The version of this source is kNoteVersion; a note that tells none is of version 1.
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

inline constexpr std::uint64_t kNoteVersion = 1;

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

// As long for every CaptureCost; a text of a hostile guest or file stays in its line, and is cut.
Note make_provenance_note(const Provenance& provenance);
// Nothing where the image has no such note, or one of a newer version. Lines that are not
// understood are skipped.
std::optional<Provenance> read_provenance(const MemoryImage& image);
// Says so where its note is of a newer version.
void remark_on_newer_note(const MemoryImage& image, std::vector<Remark>& remarks);

// The dump level that was applied to the image already: what its provenance tells, else its header.
// 0 where neither does.
unsigned level_before(const MemoryImage& image);
// Whether the file tells that the guest ran while its memory was read.
bool was_torn(const MemoryImage& image);

}  // namespace vmcore::convert
