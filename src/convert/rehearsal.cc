// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/rehearsal.h"

#include <algorithm>
#include <utility>

#include "src/convert/copied_memory.h"
#include "src/convert/crashed_kernel.h"
#include "src/convert/shards.h"
#include "src/image/page.h"
#include "src/kernel/capture_kernel.h"
#include "src/kernel/cpus.h"
#include "src/kernel/memmap.h"

namespace vmcore::convert {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// QEMU's beginning of its dump, its headers, where its memory lies, and its end: 4 ms by itself,
// more with libvirt between (docs/performance.md).
constexpr Seconds kAround{0.010};
// A thread compresses, and writes, about that many bytes a second (zstd; docs/performance.md): what
// the room does not hold waits for it.
constexpr double kEncodedASecond = 250e6;

// Whether every page was judged, and none is poisoned.
bool is_without_poison(const filters::Plan& plan) {
  const auto pages = [&](filters::PageClass page_class) {
    return plan.pages_by_class[static_cast<std::size_t>(page_class)];
  };
  return pages(filters::PageClass::kernel) != 0 && pages(filters::PageClass::hwpoison) == 0;
}

// The guest as its copy shows it, and the plan by that.
struct Copied {
  MemoryImage image;
  CopiedMemory* memory = nullptr;  // of the image
  kernel::FoundKernels found;
  filters::Plan plan;
};

// Copies the pages and plans by the copy, as is done when the guest stands still. Per-CPU lists are
// walked as they will be then: this plan only says what to copy first, and the plan that counts is
// made in the pause.
Result<Copied> copy_and_plan(const MemoryImage& guest, const kernel::FoundKernels& kernels,
                             const PageSet& pages, const ConvertOptions& options,
                             bool without_poison, std::span<std::byte> room,
                             const std::stop_token& stop) {
  Copied copied;
  auto memory = std::make_unique<CopiedMemory>(*guest.memory, room, options.how.threads);
  TRY(memory->take(pages));
  copied.memory = memory.get();
  copied.image.machine = guest.machine;
  copied.image.memory = std::move(memory);
  TRY_ASSIGN(copied.found, kernel::find_kernels(copied.image, kernel::Search::registers, &kernels));
  const auto& known = copied.found.kernels.empty() ? kernels.kernels : copied.found.kernels;
  TRY_ASSIGN(copied.plan,
             filters::make_plan(*copied.image.memory, known.empty() ? nullptr : &known.front(), 0,
                                {.level = options.how.level,
                                 .threads = options.how.threads,
                                 .without_poison = without_poison},
                                stop));
  return copied;
}

// Others have written all of the room: from now on our own mapping has it as well.
void touch(std::span<const std::byte> room) {
  for (std::size_t at = 0; at < room.size(); at += kPageSize) {
    [[maybe_unused]] const std::byte byte = static_cast<volatile const std::byte&>(room[at]);
  }
}

}  // namespace

PageSet pages_of_memmap(const PhysicalMemory& memory, const kernel::GuestKernel* kernel) {
  constexpr unsigned kMostMappings = 1U << 20;  // 1 TiB has 8192 of 2 MiB
  PageSet pages;
  const auto memmap = kernel != nullptr ? kernel::read_memmap(*kernel)
                                        : fail(Errc::not_found, "no kernel, and so no memmap");
  unsigned mappings = 0;
  for (const kernel::MemmapRun& run : memmap ? memmap->runs : std::vector<kernel::MemmapRun>()) {
    const VirtAddr end = run.pages + run.count * memmap->struct_page_size;
    for (VirtAddr at = run.pages; at < end && mappings < kMostMappings; ++mappings) {
      const auto mapping = kernel->page_tables().translate(at);
      const std::uint64_t size =
          std::min(mapping ? mapping->size : kPageSize - at.value % kPageSize, end - at);
      if (mapping && memory.presence(mapping->address) == Presence::data) {
        const Pfn first = pfn_of(mapping->address);
        pages.insert({first, pfn_of(mapping->address + (size - 1)) - first + 1});
      }
      at = at + size;
    }
  }
  return pages;
}

Result<Rehearsal> make_rehearsal(const MemoryImage& image, const ConvertOptions& options,
                                 std::span<std::byte> room, std::stop_token stop) {
  TRY_ASSIGN(Subject subject, find_subject(image, options.search, nullptr, options.hint));
  const kernel::GuestKernel* const kernel = subject.kernel();
  if (kernel != nullptr && kernel->kallsyms() != nullptr) {
    // The symbols that a conversion asks for are known from then on: a look through all takes 2 ms.
    static_cast<void>(kernel::linux_cpu_order(*kernel, *kernel->kallsyms(), {}));
    static_cast<void>(kernel::has_panicked(*kernel));
  }
  Rehearsal rehearsal;
  {
    // By lines, struct pages would take longer.
    TRY_ASSIGN(const Copied first, copy_and_plan(subject.image(), subject.found,
                                                 pages_of_memmap(*subject.image().memory, kernel),
                                                 options, false, room, stop));
    rehearsal.pages = without(first.plan.kept, first.plan.zero);
    rehearsal.kept_pages = first.plan.kept_pages;
    rehearsal.without_poison = is_without_poison(first.plan);
    TRY(first.memory->take(rehearsal.pages));  // the rest, so that all of the room has memory
    touch(room.first(first.memory->used()));
  }
  const auto began = Clock::now();
  TRY(copy_and_plan(subject.image(), subject.found, rehearsal.pages, options,
                    rehearsal.without_poison, room, stop));
  const std::uint64_t bytes = rehearsal.pages.count() * kPageSize;
  const auto beyond = static_cast<double>(bytes - std::min<std::uint64_t>(bytes, room.size()));
  rehearsal.pause = std::chrono::duration_cast<std::chrono::microseconds>(
      kAround + (Clock::now() - began) + Seconds(beyond / (kEncodedASecond * options.how.threads)));
  // Two kernels are looked for again: what is known of the crashed one is not of all of memory.
  if (!subject.crashed) {
    rehearsal.kernels = std::move(subject.found);
  }
  return rehearsal;
}

}  // namespace vmcore::convert
