// SPDX-License-Identifier: GPL-2.0-or-later
// What LVM2 wrote on a disk: its label and areas, and the text in them.
#include <sys/mman.h>

#include "guest/save/lvm_metadata.h"
#include "src/base/fd.h"
#include "src/base/sys.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore;
using namespace vmcore::guest;

const std::string kGroupId = "AAAAAA" + std::string(26, 'a');
const std::string kVolumeId = "RRRRRR" + std::string(26, 'r');
const std::vector<std::string> kTexts = {R"(vg {
id = "AAAAAA-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa"
seqno = 7
extent_size = 8192 # 4 Megabytes
physical_volumes { pv0 { id = "PPPPPP-0000-0000-0000-0000-0000-000000" tags = ["a]", "b"] pe_start = 2048 } }
logical_volumes {
root {
id = "RRRRRR-rrrr-rrrr-rrrr-rrrr-rrrr-rrrrrr"
segment1 { start_extent = 0 extent_count = 10 type = "striped" stripe_count = 1 stripes = ["pv0", 0] }
segment2 { start_extent = 10 extent_count = 4 type = "striped" stripe_count = 2 stripe_size = 128
stripes = ["pv0", 11, "pv0", 90] }
}
snap { id = "SSSSSS-ssss-ssss-ssss-ssss-ssss-ssssss" segment1 { type = "snapshot" origin = "other" } }
}
}
)"};

// The first sectors of a disk whose label points at one area of metadata behind them.
std::vector<std::byte> disk_with(std::string_view text) {
  constexpr std::size_t kLabel = 512, kArea = 4096;
  std::string disk(kArea + 1024 + text.size(), '\0');
  disk.replace(kLabel, 8, "LABELONE");
  disk[kLabel + 20] = 32;
  disk.replace(kLabel + 24, 8, "LVM2 001");
  disk.replace(kLabel + 32, 32, std::string(32, 'P'));
  disk[kLabel + 32 + 40 + 16 + 1] = kArea >> 8;  // behind an empty list of areas of data
  disk.replace(kArea + 4, 16, " LVM2 x[5A%r0N*>");
  disk.replace(kArea + 1024, text.size(), text);
  const auto bytes = std::as_bytes(std::span(disk));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  const std::string text = fuzz::changed_text(kTexts, input);
  static_cast<void>(save::number_of_change(text, kGroupId + kVolumeId));
  static_cast<void>(save::find_volume(text, kGroupId + kVolumeId));

  std::vector<std::byte> disk = disk_with(kTexts[0]);
  fuzz::change(disk, input);
  const Fd file(::memfd_create("disk", MFD_CLOEXEC));
  if (sys::write_full(file.get(), disk)) {
    static_cast<void>(save::read_lvm_disk(file.get()));
  }
  return 0;
}
