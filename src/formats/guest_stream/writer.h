// SPDX-License-Identifier: GPL-2.0-or-later
// GuestStreamWriter: sends a dump as a guest's stream. Memory: one shard a thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/formats/dump_writer.h"
#include "src/formats/guest_stream/protocol.h"

namespace vmcore::formats {

// Writes all of one frame, or fails: whoever owns the line knows how, and how long to wait. Called
// by one thread at a time. After an error it is not called again.
using SendFrame = std::function<Result<>(std::span<const std::byte>)>;

// By write(2), for a file, a block device, or a line that may block for ever.
SendFrame send_to(int file);

// Order: hello, any number of log, then what a DumpWriter does; abort at any time.
class GuestStreamWriter final : public DumpWriter {
 public:
  GuestStreamWriter(SendFrame send, StreamId id) : send_(std::move(send)), id_(id) {}

  // Announces the guest's RAM: the plans have pages in it only.
  Result<> hello(const GuestHello& hello);
  // The next part of the kernel log, as dmesg prints it. Not after alive().
  Result<> log(std::string_view text);

  Result<> begin(const DumpHeader& header) override;
  Result<> plan(const PageSet& ram, const PageSet& kept) override;
  Result<std::unique_ptr<ShardEncoder>> encoder() override;
  Result<> finish(bool incomplete) override;
  // Before finish() only: what was sent is gone.
  Result<> replace_note(const Note& note) override;

  // Shows the host that the guest gets on, at most every few seconds, however often it is called,
  // by whichever thread. Where that fails, whatever is sent next does.
  void alive();

  // Ends the stream early, and says why.
  Result<> abort(std::string_view reason);
  std::uint64_t bytes() const { return bytes_; }  // that were sent

 private:
  class Encoder;

  // `frame` begins with room for its header. Thread-safe.
  Result<> send(FrameKind kind, std::vector<std::byte>& frame);
  Result<> send_payload(FrameKind kind, std::span<const std::byte> payload);
  Result<> send_map(Pfn first, std::span<const ul64> words);
  Result<> end(const StreamEnd& end);

  SendFrame send_;
  StreamId id_;
  std::mutex mutex_;
  std::uint64_t sequence_ = 0;
  std::optional<Error> broken_;                       // why a frame was not sent whole
  std::chrono::steady_clock::time_point next_alive_;  // when alive() sends again
  bool ended_ = false;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<std::uint64_t> pages_ = 0;
  Pfn mapped_{0};  // the end of the last map
  std::unique_ptr<PageCompressor> map_compressor_;
};

}  // namespace vmcore::formats
