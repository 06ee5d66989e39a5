// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/snapshot_input.h"

#include <fcntl.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "src/base/range_set.h"
#include "src/base/sys.h"
#include "src/formats/dump_format.h"
#include "src/formats/elf/memory.h"
#include "src/formats/elf/notes.h"
#include "src/formats/elf/reader.h"
#include "src/formats/qemu/device_state.h"
#include "src/formats/qemu/migration_stream.h"
#include "src/sources/snapshot_spool.h"

namespace vmcore::worker {
namespace {

// Gives back what was read, so that stream and spool together take no more room than the stream.
// Where the file system cannot, they take it.
class Consumed {
 public:
  Consumed(const sandbox::Channel& channel, int stream) : channel_(channel), stream_(stream) {}

  Result<> operator()(std::uint64_t offset) {
    constexpr std::uint64_t kPortion = 64U << 20;
    if (offset - done_ >= kPortion) {
      static_cast<void>(::fallocate(stream_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    static_cast<off_t>(done_), static_cast<off_t>(offset - done_)));
      done_ = offset;
      tell(channel_, sandbox::Spooling{offset});
    }
    return {};
  }

 private:
  const sandbox::Channel& channel_;
  int stream_;
  std::uint64_t done_ = 0;
};

// The CPUs of the stream in place of those of the headers, which are of an earlier moment.
Result<> replace_cpus(MemoryImage& image, std::span<const std::byte> state) {
  TRY_ASSIGN(const auto cpus, formats::read_stream_cpus(state));
  std::vector<Note> notes = formats::make_cpu_notes(cpus);
  std::ranges::copy_if(image.notes, std::back_inserter(notes),
                       [](const Note& note) { return note.name == kNoteNameVmcoreinfo; });
  image.notes = std::move(notes);
  image.cpus = formats::read_cpus(image.notes, image.remarks);
  return {};
}

Result<RangeSet> ram_of(int headers) {
  TRY_ASSIGN(Fd file, duplicate(headers));
  TRY_ASSIGN(const auto source, formats::open_plain(std::move(file)));
  TRY_ASSIGN(const auto blocks, formats::read_elf_blocks(*source));
  RangeSet ram;
  for (const formats::ElfBlock& block : blocks) {
    ram.add(block.memory);
  }
  return ram;
}

void remark_on(const sources::SnapshotSpool& spooled, MemoryImage& image) {
  if (!spooled.left_out().empty()) {
    image.remarks.push_back(
        {Errc::not_found,
         fmt::format(
             "{} KiB of memory of devices or firmware are not in QEMU's snapshot and are left out",
             spooled.left_out().size() >> 10),
         Severity::fact});
  }
  if (spooled.missing_pages() != 0) {
    image.file.incomplete = true;
    image.remarks.push_back({Errc::truncated, fmt::format("{} pages are not in QEMU's snapshot",
                                                          spooled.missing_pages())});
  }
}

}  // namespace

Result<Input> open_snapshot(const sandbox::Channel& channel, Fd stream, Fd spool, Fd headers,
                            const std::vector<sandbox::BlockPlace>& places) {
  TRY_ASSIGN(const RangeSet ram, ram_of(headers.get()));
  Input input;
  TRY_ASSIGN(input.image, open_headers(std::move(headers)));
  sources::SnapshotSpool spooled(spool.get(), ram, places, Consumed(channel, stream.get()));
  TRY_ASSIGN(const auto source, formats::open_plain(std::move(stream)));
  const auto state = formats::read_migration_stream(*source, spooled);
  if (!state) {
    return in_context(state.error(), "QEMU's snapshot");
  }
  TRY(replace_cpus(input.image, *state));
  TRY_ASSIGN(const auto segments, spooled.finish());
  remark_on(spooled, input.image);
  TRY_ASSIGN(auto memory, formats::open_plain(std::move(spool)));
  input.image.memory = std::make_unique<formats::ElfMemory>(std::move(memory), segments);
  input.image.file.format = "snapshot of a guest";
  return input;
}

}  // namespace vmcore::worker
