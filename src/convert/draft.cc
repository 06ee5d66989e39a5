#include "src/convert/draft.h"

#include <algorithm>
#include <utility>

#include "src/convert/copied_memory.h"
#include "src/convert/crashed_kernel.h"
#include "src/convert/shards.h"
#include "src/kernel/cpus.h"

namespace vmcore::convert {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// What QEMU takes to begin and to end its dump, and the headers.
constexpr Seconds kAround{0.010};
// A thread compresses, and writes, about that many bytes a second (zstd): what the room does not
// hold waits for it.
constexpr double kEncodedASecond = 250e6;

// Copies the pages; returns the time.
Result<Seconds> rehearse(const PhysicalMemory& memory, const PageSet& pages,
                         std::span<std::byte> room, unsigned threads) {
  const auto began = Clock::now();
  CopiedMemory copied(memory, room, threads);
  TRY(copied.take(pages));
  const Seconds copying = Clock::now() - began;
  // Others may have written all of it: from now on our own mapping has it as well.
  for (std::size_t at = 0; at < copied.used(); at += kPageSize) {
    [[maybe_unused]] const std::byte byte = static_cast<volatile const std::byte&>(room[at]);
  }
  return copying;
}

}  // namespace

Result<Draft> make_draft(const MemoryImage& image, const ConvertOptions& options,
                         std::span<std::byte> room, std::stop_token stop) {
  TRY_ASSIGN(Subject subject, find_subject(image, options.search, nullptr, options.hint));
  const auto began = Clock::now();
  const kernel::GuestKernel* const kernel = subject.kernel();
  const PhysicalMemory& memory = *subject.image().memory;
  TRY_ASSIGN(const filters::Plan plan,
             filters::make_plan(memory, kernel, 0,
                                {.level = options.level, .threads = options.threads}, stop));
  if (kernel != nullptr && kernel->kallsyms() != nullptr) {
    // The symbols that the header asks for are known from then on.
    static_cast<void>(kernel::linux_cpu_order(*kernel, *kernel->kallsyms(), {}));
  }
  const Seconds planning = Clock::now() - began;

  PageSet pages = without(plan.kept, plan.zero);
  TRY(rehearse(memory, pages, room, options.threads));  // now the room has memory
  TRY_ASSIGN(const Seconds copying, rehearse(memory, pages, room, options.threads));
  const std::uint64_t bytes = pages.count() * kPageSize;
  const auto beyond = static_cast<double>(bytes - std::min<std::uint64_t>(bytes, room.size()));
  const Seconds pause =
      kAround + planning + copying + Seconds(beyond / (kEncodedASecond * options.threads));
  // Two kernels are looked for again: what is known of the crashed one is not of all of memory.
  return Draft{.kernels = subject.crashed ? kernel::FoundKernels() : std::move(subject.found),
               .pages = std::move(pages),
               .kept_pages = plan.kept_pages,
               .pause = std::chrono::duration_cast<std::chrono::microseconds>(pause)};
}

}  // namespace vmcore::convert
