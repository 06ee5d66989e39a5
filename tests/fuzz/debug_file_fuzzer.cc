// SPDX-License-Identifier: GPL-2.0-or-later
// Files with debug information, boot images and archives. libelf and libarchive are not built with
// the sanitizers: this fuzzer finds faults in our own code.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "src/base/fd.h"
#include "src/base/sys.h"
#include "src/debuginfo/archive.h"
#include "src/debuginfo/confined.h"
#include "src/debuginfo/kernel.h"
#include "tests/builders/debug_elf.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore;

const std::vector<std::string> kTexts = {
    builders::DebugElf{.build_id = "id", .banner = "Linux version 6.1 (x)"}.build(),
    builders::DebugElf{.type = ET_REL, .modinfo = "vermagic=6.1 x", .alternate = "a"}.build(),
    builders::boot_image("6.1 x")};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = fuzz::changed_text(kTexts, std::as_bytes(std::span(data, size)));
  const Fd file(::memfd_create("file", MFD_CLOEXEC));
  static_cast<void>(sys::write_full(file.get(), std::as_bytes(std::span(text))));
  if (const auto facts = debuginfo::inspect(file.get())) {
    static_cast<void>(debuginfo::match_vmlinux({.release = "6.1", .build_id = "6964"}, *facts));
    const auto again = debuginfo::decode(debuginfo::encode(*facts));
    if (!again || *again != *facts) {
      std::abort();
    }
  }
  static_cast<void>(debuginfo::decode(text));
  if (const auto facts = debuginfo::decode_facts(text);
      facts && debuginfo::encode(*facts) != text) {
    // Numbers may have been written in another way: what is read must stay the same.
    const auto again = debuginfo::decode_facts(debuginfo::encode(*facts));
    if (!again || debuginfo::encode(*again) != debuginfo::encode(*facts)) {
      std::abort();
    }
  }
  static_cast<void>(debuginfo::look_up(
      {file.get()},
      std::vector<debuginfo::CodeAddress>{{.address = 1, .function = "linux_banner", .frame = 0}},
      {.frames = {{.address = 1, .sp = 8, .registers = {{"rsp", 8}, {"rip", 1}}}},
       .parts = {{0, std::vector<std::uint64_t>(64)}}}));
  ::lseek(file.get(), 0, SEEK_SET);
  static_cast<void>(debuginfo::walk_archive(
      file.get(), [](const std::string&) { return Result<debuginfo::Choice>(); },
      [] { return Result<>(); }));
  return 0;
}
