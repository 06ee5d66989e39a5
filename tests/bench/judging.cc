// SPDX-License-Identifier: GPL-2.0-or-later
// judging DUMP THREADS: how long it takes to judge the struct pages of a dump, from a copy in
// memory, as in a pause.
//
// Prints milliseconds: all of them at once ("judging"), and, portion by portion of 2 MiB of struct
// pages, the first time
// ("from memory") and once more ("from the cache"). The difference is what could be won at most by
// judging each portion while it is copied.
#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include "filters/census.h"
#include "filters/plan_window.h"
#include "src/base/threads.h"
#include "src/convert/copied_memory.h"
#include "src/convert/rehearsal.h"
#include "src/formats/dump_format.h"
#include "src/image/page.h"
#include "src/kernel/memmap.h"
#include "src/sandbox/copy_room.h"

namespace vmcore {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

// What a census is taken of.
struct StructPages {
  const kernel::GuestKernel& kernel;
  const kernel::Memmap& memmap;
  filters::PageLayout layout;
  PageSet ram;
};

Result<Milliseconds> judge(const StructPages& pages, const kernel::Memmap& part, unsigned threads) {
  const auto begun = Clock::now();
  TRY(filters::take_census(pages.kernel, part, pages.layout, pages.ram, {},
                           {.threads = threads, .poison_in_blocks = false}, {}));
  return Clock::now() - begun;
}

std::vector<kernel::Memmap> portions_of(const kernel::Memmap& memmap) {
  constexpr std::uint64_t kPages = 32768;  // the census's own block: it begins at multiples
  std::vector<kernel::Memmap> portions;
  for (const kernel::MemmapRun& run : memmap.runs) {
    for (std::uint64_t at = 0; at < run.count;) {
      const Pfn first = run.first + at;
      const std::uint64_t count = std::min(run.count - at, kPages - first.value % kPages);
      portions.push_back({{{first, count, run.pages + at * memmap.struct_page_size, run.offline}},
                          memmap.struct_page_size});
      at += count;
    }
  }
  return portions;
}

constexpr int kTimes = 5;  // the best of them: others may use the processor

// Of one portion, in milliseconds.
struct Times {
  double from_memory = 1e9;
  double from_cache = 1e9;
};

// When it comes to a portion again, the caches have others.
std::vector<Times> judge_portions(const StructPages& pages, unsigned threads) {
  const std::vector<kernel::Memmap> portions = portions_of(pages.memmap);
  std::vector<Times> times(portions.size());
  for (int round = 0; round < kTimes; ++round) {
    std::atomic<std::size_t> next{0};
    on_threads(threads, [&](unsigned) {
      for (std::size_t i = next++; i < portions.size(); i = next++) {
        for (double* const best : {&times[i].from_memory, &times[i].from_cache}) {
          if (const auto took = judge(pages, portions[i], 1)) {
            *best = std::min(*best, took->count());
          }
        }
      }
    });
  }
  return times;
}

Result<> measure(const StructPages& pages, unsigned threads) {
  double all = 1e9;
  for (int i = 0; i < kTimes; ++i) {
    TRY_ASSIGN(const Milliseconds took, judge(pages, pages.memmap, threads));
    all = std::min(all, took.count());
  }
  Times sum{0, 0};
  for (const Times& portion : judge_portions(pages, threads)) {
    sum.from_memory += portion.from_memory / threads;
    sum.from_cache += portion.from_cache / threads;
  }
  std::printf("{\"judging\": %.2f, \"from memory\": %.2f, \"from the cache\": %.2f}\n", all,
              sum.from_memory, sum.from_cache);
  return {};
}

Result<> run(const char* path, unsigned threads) {
  TRY_ASSIGN(const MemoryImage image, formats::open_dump(Fd(::open(path, O_RDONLY | O_CLOEXEC))));
  TRY_ASSIGN(const auto found, kernel::find_kernels(image, kernel::Search::registers));
  if (found.kernels.empty()) {
    return fail(Errc::not_found, "no kernel");
  }
  const PageSet pages = convert::pages_of_memmap(*image.memory, &found.kernels.front());
  TRY_ASSIGN(const Fd file, sandbox::CopyRoom::make(pages.count() * kPageSize));
  TRY_ASSIGN(const sandbox::CopyRoom room, sandbox::CopyRoom::map(file.get()));
  MemoryImage copy;
  copy.machine = image.machine;
  copy.cpus = image.cpus;
  copy.notes = image.notes;
  auto copied = std::make_unique<convert::CopiedMemory>(*image.memory, room.pages(), threads);
  TRY(copied->take(pages));
  copy.memory = std::move(copied);
  TRY_ASSIGN(const auto again, kernel::find_kernels(copy, kernel::Search::registers, &found));
  const kernel::GuestKernel& kernel = again.kernels.front();
  TRY_ASSIGN(const kernel::Memmap memmap, kernel::read_memmap(kernel));
  TRY_ASSIGN(auto layout, filters::read_page_layout(kernel.info(), memmap.struct_page_size));
  auto window = filters::outline(*copy.memory, {{0}, kMaxPhysAddr / kPageSize});
  return measure({kernel, memmap, std::move(layout), std::move(window.pages.ram)}, threads);
}

}  // namespace
}  // namespace vmcore

int main(int argc, char** argv) {
  unsigned threads = 0;
  const std::string_view number = argc == 3 ? argv[2] : "";
  std::from_chars(number.data(), number.data() + number.size(), threads);
  if (threads == 0) {
    std::fputs("usage: judging DUMP THREADS\n", stderr);
    return 2;
  }
  if (const auto done = vmcore::run(argv[1], threads); !done) {
    std::fprintf(stderr, "%s: %s\n", argv[1], done.error().message.c_str());
    return 1;
  }
  return 0;
}
