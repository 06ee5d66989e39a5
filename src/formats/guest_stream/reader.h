// SPDX-License-Identifier: GPL-2.0-or-later
// Reads a guest's stream. The guest may lie, repeat itself, never end, or be cut off anywhere: what
// is accepted is bounded by the RAM that it announces, and what came until then is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/formats/guest_stream/frame_reader.h"
#include "src/formats/guest_stream/protocol.h"
#include "src/image/image.h"
#include "src/image/page_set.h"

namespace vmcore::formats {

// What takes the stream. An error ends the reading, and is its result.
class GuestStreamSink {
 public:
  virtual ~GuestStreamSink() = default;
  virtual Result<> hello(const GuestHello& hello) = 0;  // once, before all others
  virtual Result<> log(std::string_view text) = 0;      // any bytes
  virtual Result<> log_over() { return {}; }            // once: something else came
  // Pages that were announced, and come for the first time. Valid only now.
  virtual Result<> pages(Pfn first, std::span<const std::byte> bytes) = 0;
};

struct GuestStreamLimits {
  std::uint64_t ram = kMaxPhysAddr;   // bytes of RAM of a guest whose pages are taken
  std::uint64_t kept = kMaxPhysAddr;  // bytes of pages that are taken
};

struct GuestStream {
  GuestHello hello;
  StreamFacts facts;
  std::vector<Note> notes;
  PageSet ram;   // by the hello
  PageSet kept;  // that were announced
  PageSet had;   // that came
  // Why not all came: the guest's own reason, or what is wrong with the stream. Empty where it is
  // complete.
  std::string broken;
  bool incomplete = false;  // there are pages that the guest could not read
  std::vector<Remark> remarks;
};

// Reads until the stream ends, in whatever way. Errc::not_found where none begins: what `read`
// failed with is the reason then. What stands before a hello, and frames of other streams, are
// skipped; another hello ends the stream.
Result<GuestStream> read_guest_stream(ReadSome read, GuestStreamSink& sink,
                                      const GuestStreamLimits& limits);

}  // namespace vmcore::formats
