// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/bounds.h"

#include <algorithm>
#include <variant>

#include "src/base/address.h"

namespace vmcore::sandbox {
namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::uint64_t kGiB = 1ULL << 30;
constexpr unsigned kMostThreads = 256;

// A file tells of at most so many bytes of RAM for each of its own: kdump's 24 bytes for a page
// (formats/kdump), rounded up.
constexpr std::uint64_t kMostOfFile = 171;

// How much RAM the guest has, at most.
struct RamOf {
  const Request& request;
  std::uint64_t source;

  std::uint64_t operator()(const FileInput&) const {
    return std::min(source, kMaxPhysAddr / kMostOfFile) * kMostOfFile;
  }
  std::uint64_t operator()(const GuestStreamInput& input) const { return input.terms.most_ram; }
  template <class Other>
  std::uint64_t operator()(const Other&) const {
    return request.ram;
  }
};

// A spool that has its pages at their addresses goes on to the end of memory, holes included.
struct SpoolOf {
  std::uint64_t ram;

  std::uint64_t operator()(const SnapshotInput& input) const {
    std::uint64_t end = ram;
    for (const BlockPlace& place : input.places) {
      end = std::max(end, std::min(place.range.end().value, kMaxPhysAddr));
    }
    return end;
  }
  // Below 4 GiB, and before 1 TiB where QEMU's CPU is AMD's, there are holes (QEMU hw/i386/pc.c,
  // above_4g_mem_start, v7.1 and later); memory that is plugged in lies behind the rest.
  std::uint64_t operator()(const GuestStreamInput&) const { return 2 * ram + (1ULL << 40); }
  std::uint64_t operator()(const StreamInput&) const { return ram; }
  template <class NotSpooled>
  std::uint64_t operator()(const NotSpooled&) const {
    return 0;
  }
};

}  // namespace

Bounds bounds_of(const Request& request, std::uint64_t source) {
  const std::uint64_t ram =
      std::min(std::visit(RamOf{request, source}, request.input), kMaxPhysAddr);
  const bool dump = request.operation == Operation::convert;
  const std::uint64_t threads = std::clamp(request.how.threads, 1U, kMostThreads);
  const std::uint64_t spool = std::visit(SpoolOf{ram}, request.input);
  return {
      // Three bits a page, and what does not grow: tables of the kernel, caches. A thread has 8 MiB
      // of stack, a heap and its buffers.
      .memory = kGiB + ram / 4096 + threads * 64 * kMiB,
      // A dump has headers, notes, and 24 bytes beside each page.
      .file = std::max(spool, dump ? ram : 0) + ram / 64 + kGiB,
      // The slowest compression, on a slow and busy host.
      .seconds = 3600 + ram / (dump ? kMiB / 4 : 16 * kMiB),
      .fds = 2 * kMaxFds};
}

}  // namespace vmcore::sandbox
