// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/rehearsal.h"

#include <algorithm>
#include <utility>

#include "src/convert/copied_memory.h"
#include "src/convert/crashed_kernel.h"
#include "src/convert/shards.h"
#include "src/image/page.h"
#include "src/kernel/cpus.h"

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

// The guest runs, but per-CPU lists are walked as they will be in the pause: this plan only says
// what to copy first, and the plan that counts is made in the pause.
Result<filters::Plan> plan_of(const PhysicalMemory& memory, const kernel::GuestKernel* kernel,
                              const ConvertOptions& options, const std::stop_token& stop) {
  return filters::make_plan(memory, kernel, 0,
                            {.level = options.how.level, .threads = options.how.threads}, stop);
}

// Copies the pages once, so that the room has memory.
Result<> warm_up(const PhysicalMemory& memory, const PageSet& pages, std::span<std::byte> room,
                 unsigned threads) {
  CopiedMemory copied(memory, room, threads);
  TRY(copied.take(pages));
  // Others may have written all of it: from now on our own mapping has it as well.
  for (std::size_t at = 0; at < copied.used(); at += kPageSize) {
    [[maybe_unused]] const std::byte byte = static_cast<volatile const std::byte&>(room[at]);
  }
  return {};
}

// Copies the pages and plans by the copy, as is done when the guest stands still; returns the time.
Result<Seconds> rehearse(const MemoryImage& guest, const kernel::FoundKernels& kernels,
                         const PageSet& pages, const ConvertOptions& options,
                         std::span<std::byte> room, const std::stop_token& stop) {
  const auto began = Clock::now();
  auto copied = std::make_unique<CopiedMemory>(*guest.memory, room, options.how.threads);
  TRY(copied->take(pages));
  MemoryImage image;
  image.machine = guest.machine;
  image.memory = std::move(copied);
  TRY_ASSIGN(const kernel::FoundKernels found,
             kernel::find_kernels(image, kernel::Search::registers, &kernels));
  const auto& known = found.kernels.empty() ? kernels.kernels : found.kernels;
  TRY(plan_of(*image.memory, known.empty() ? nullptr : &known.front(), options, stop));
  return Clock::now() - began;
}

}  // namespace

Result<Rehearsal> make_rehearsal(const MemoryImage& image, const ConvertOptions& options,
                                 std::span<std::byte> room, std::stop_token stop) {
  TRY_ASSIGN(Subject subject, find_subject(image, options.search, nullptr, options.hint));
  const kernel::GuestKernel* const kernel = subject.kernel();
  const PhysicalMemory& memory = *subject.image().memory;
  TRY_ASSIGN(const filters::Plan plan, plan_of(memory, kernel, options, stop));
  if (kernel != nullptr && kernel->kallsyms() != nullptr) {
    // The symbols that the header asks for are known from then on.
    static_cast<void>(kernel::linux_cpu_order(*kernel, *kernel->kallsyms(), {}));
  }
  PageSet pages = without(plan.kept, plan.zero);
  TRY(warm_up(memory, pages, room, options.how.threads));
  TRY_ASSIGN(const Seconds rehearsed,
             rehearse(subject.image(), subject.found, pages, options, room, stop));
  const std::uint64_t bytes = pages.count() * kPageSize;
  const auto beyond = static_cast<double>(bytes - std::min<std::uint64_t>(bytes, room.size()));
  const Seconds pause =
      kAround + rehearsed + Seconds(beyond / (kEncodedASecond * options.how.threads));
  // Two kernels are looked for again: what is known of the crashed one is not of all of memory.
  return Rehearsal{.kernels = subject.crashed ? kernel::FoundKernels() : std::move(subject.found),
                   .pages = std::move(pages),
                   .kept_pages = plan.kept_pages,
                   .pause = std::chrono::duration_cast<std::chrono::microseconds>(pause)};
}

}  // namespace vmcore::convert
