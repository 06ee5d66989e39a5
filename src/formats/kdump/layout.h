// SPDX-License-Identifier: GPL-2.0-or-later
// Structures of the kdump-compressed format on disk (makedumpfile's diskdump_mod.h).
// docs/formats/kdump.md shows how they lie in the file.
#pragma once

#include <cstdint>
#include <string_view>

#include "src/base/little_endian.h"

namespace vmcore::formats {

inline constexpr std::string_view kKdumpSignature = "KDUMP   ";
inline constexpr std::int32_t kKdumpVersion = 6;  // the newest, since makedumpfile 1.5.6

inline constexpr std::uint32_t kKdumpIncomplete = 0x8;  // bit of KdumpHeader::status
inline constexpr std::uint32_t kKdumpCodecs = 0x27;     // the bits of codec_flag() in it

// struct disk_dump_header: block 0.
struct KdumpHeader {
  char signature[8];
  il32 version;
  char sysname[65];
  char nodename[65];
  char release[65];
  char version_text[65];
  char machine[65];
  char domainname[65];
  unsigned char padding[6];
  il64 seconds;
  il64 microseconds;
  ul32 status;
  ul32 block_size;
  ul32 sub_header_blocks;
  ul32 bitmap_blocks;  // of both bitmaps together
  ul32 max_mapnr;      // cut to 32 bits; since version 6 see the sub-header
  ul32 total_ram_blocks;
  ul32 device_blocks;
  ul32 written_blocks;
  ul32 current_cpu;
  ul32 nr_cpus;
};
static_assert(sizeof(KdumpHeader) == 464);

// struct kdump_sub_header: block 1. The comment is the header version that brought the field.
struct KdumpSubHeader {
  il64 phys_base;
  ul32 dump_level;         // 1
  ul32 split;              // 2
  ul64 start_pfn;          // 2, cut to 32 bits
  ul64 end_pfn;            // 2, the same
  ul64 offset_vmcoreinfo;  // 3
  ul64 size_vmcoreinfo;    // 3
  ul64 offset_note;        // 4
  ul64 size_note;          // 4
  ul64 offset_eraseinfo;   // 5
  ul64 size_eraseinfo;     // 5
  ul64 start_pfn_64;       // 6
  ul64 end_pfn_64;         // 6
  ul64 max_mapnr_64;       // 6
};
static_assert(sizeof(KdumpSubHeader) == 104);

// struct page_desc: one for each page of the second bitmap, in the order of the pages.
struct PageDesc {
  ul64 offset;  // in the file; 0: the page is lost
  ul32 size;
  ul32 flags;       // codec_flag()
  ul64 page_flags;  // always 0
};
static_assert(sizeof(PageDesc) == 24);

}  // namespace vmcore::formats
