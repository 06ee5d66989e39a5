// BeatingMemory: memory whose being read shows that its reader gets on, to whoever supervises it
// and to the target. Planning the dump of a large guest takes minutes in which nothing else can be
// seen.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "guest/save/supervise.h"
#include "src/image/memory.h"

namespace vmcore::guest::save {

class BeatingMemory final : public PhysicalMemory {
 public:
  // `beat` and `also`, which may be empty, outlive it.
  BeatingMemory(std::unique_ptr<PhysicalMemory> memory, const Beat& beat,
                const std::function<void()>& also)
      : memory_(std::move(memory)), beat_(beat), also_(also) {}

  Extent extent(PhysAddr address) const override { return memory_->extent(address); }
  Extent outline(PhysAddr address) const override { return memory_->outline(address); }
  Presence presence(PhysAddr address) const override { return memory_->presence(address); }
  std::span<const std::byte> view(PhysRange range) const override { return memory_->view(range); }

  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    constexpr unsigned kReadsPerBeat = 64;
    if (reads_.fetch_add(1, std::memory_order_relaxed) % kReadsPerBeat == 0) {
      beat_();
      if (also_) {
        also_();
      }
    }
    return memory_->read(address, out);
  }

 private:
  std::unique_ptr<PhysicalMemory> memory_;
  const Beat& beat_;
  const std::function<void()>& also_;
  mutable std::atomic<unsigned> reads_ = 0;
};

}  // namespace vmcore::guest::save
