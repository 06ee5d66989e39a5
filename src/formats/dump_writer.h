// SPDX-License-Identifier: GPL-2.0-or-later
// DumpWriter: writes one dump file. The conversion calls begin, then for each window of the guest's
// memory plan, and writes that window's kept pages through one ShardEncoder a thread, then finish.
// Headers are final before the first page, so a shard's data may go anywhere free and no two
// threads wait for each other. The plan gives each kept page its rank, and the rank gives it its
// descriptor (kdump) or its place (ELF). With several windows the header tells beforehand what they
// hold together; ELF accepts one window only, because its program headers name every run of pages.
// A page of zeros shares one descriptor target in kdump files and is a hole in ELF files.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/formats/codec.h"
#include "src/image/image.h"
#include "src/image/page_set.h"

namespace vmcore::formats {

// Virtual addresses of a physical range, for the program headers of an ELF dump.
struct VirtSegment {
  PhysRange physical;
  VirtAddr virtual_begin;
};

struct DumpHeader {
  Machine machine;
  std::vector<Note> notes;     // verbatim, in the order to be written
  std::string release;         // for the utsname of kdump headers; may be empty
  std::string version;         // the same ("#1 SMP Debian ...")
  std::string node_name;       // the same
  std::int64_t phys_base = 0;  // for the kdump sub-header
  // Kernel image first, then direct map. Pages in several get a PT_LOAD of each, in this order,
  // over the same file data; pages in none, one with p_vaddr = 0.
  std::vector<VirtSegment> segments;
  unsigned level = 0;                       // the dump level reached
  std::optional<std::uint64_t> crash_time;  // seconds since the epoch
  unsigned cpu_count = 0;
  // What the plans that follow hold together.
  Pfn ram_end;                   // one past the highest page frame of RAM
  std::uint64_t ram_pages = 0;   // exactly
  std::uint64_t kept_pages = 0;  // at most
};

// Whole pages that follow each other in memory. The bytes are read while write() runs, not later.
struct PageRun {
  Pfn first;
  std::span<const std::byte> bytes;
};

// The rank of the run's first page among the kept ones, index()ed. Errc::invalid where the run is
// not whole pages that are all kept.
Result<std::uint64_t> rank_of_run(const PageSet& kept, const PageRun& run);

// Used by one thread. Errors end the conversion.
class ShardEncoder {
 public:
  virtual ~ShardEncoder() = default;
  // The kept pages of one shard, ascending. `unreadable` pages of the plan that could not be had
  // are simply not among them: the file shows them as lost (kdump: a descriptor of zeros; ELF: a
  // hole, told by a Remark of the conversion).
  virtual Result<> write(std::span<const PageRun> runs) = 0;
};

class DumpWriter {
 public:
  virtual ~DumpWriter() = default;
  virtual Result<> begin(const DumpHeader& header) = 0;
  // Once for each window of the guest's memory, ascending; a window begins and ends at multiples of
  // 1 GiB, or is all there is. `ram`: every page frame of memory in it; `kept`: those that will be
  // in the file, a subset, index()ed. Both are borrowed until the next plan() or finish().
  // Errc::invalid where the plans hold more than the header told, Errc::unsupported for a second
  // window where the format's headers need all pages at once (ELF).
  virtual Result<> plan(const PageSet& ram, const PageSet& kept) = 0;
  // Of the window that was planned last, whose pages are all written before the next plan().
  virtual Result<std::unique_ptr<ShardEncoder>> encoder() = 0;
  // No page is written after it. `incomplete` marks the file as such (kdump: status bit 8; ELF:
  // e_flags bit 0). A file that was never finished has that mark, too.
  virtual Result<> finish(bool incomplete) = 0;
  // Writes another note in the place of the one of its name and type, whose contents are as long
  // (Errc::invalid where there is none such). After the last plan(), also after finish().
  virtual Result<> replace_note(const Note& note) = 0;
  // What a reader of the file may stumble over, known after the last plan().
  virtual std::vector<Remark> remarks() const { return {}; }
};

// The writers behind make_writer() (dump_format.h), for callers that need one format only.
// A page of zeros takes no room: kdump shares one descriptor target, ELF leaves a file hole.
Result<std::unique_ptr<DumpWriter>> make_kdump_writer(int file, Codec codec,
                                                      std::optional<int> compress_level);
Result<std::unique_ptr<DumpWriter>> make_elf_writer(int file);

}  // namespace vmcore::formats
