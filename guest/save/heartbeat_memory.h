// SPDX-License-Identifier: GPL-2.0-or-later
// HeartbeatMemory: memory that sends a heartbeat while it is read. Planning the dump of a large
// guest takes minutes, in which nothing else shows progress.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "guest/save/supervise.h"
#include "src/image/memory.h"

namespace vmcore::guest::save {

class HeartbeatMemory final : public PhysicalMemory {
 public:
  // Calls `heartbeat` and `also`, which may be empty. Both must outlive this object.
  HeartbeatMemory(std::unique_ptr<PhysicalMemory> memory, const Heartbeat& heartbeat,
                  const std::function<void()>& also)
      : memory_(std::move(memory)), heartbeat_(heartbeat), also_(also) {}

  Extent extent(PhysAddr address) const override { return memory_->extent(address); }
  Extent outline(PhysAddr address) const override { return memory_->outline(address); }
  Presence presence(PhysAddr address) const override { return memory_->presence(address); }
  std::span<const std::byte> view(PhysRange range) const override { return memory_->view(range); }

  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    constexpr unsigned kReadsPerHeartbeat = 64;
    if (reads_.fetch_add(1, std::memory_order_relaxed) % kReadsPerHeartbeat == 0) {
      heartbeat_();
      if (also_) {
        also_();
      }
    }
    return memory_->read(address, out);
  }

 private:
  std::unique_ptr<PhysicalMemory> memory_;
  const Heartbeat& heartbeat_;
  const std::function<void()>& also_;
  mutable std::atomic<unsigned> reads_ = 0;
};

}  // namespace vmcore::guest::save
