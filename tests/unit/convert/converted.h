// SPDX-License-Identifier: GPL-2.0-or-later
// Synthetic guests, converted into files in memory.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "src/convert/convert.h"
#include "src/formats/dump_format.h"
#include "tests/builders/dump_builder.h"
#include "tests/builders/kernel_builder.h"

namespace vmcore::convert {

inline constexpr std::uint64_t kGuestPages = 0x4000;  // GuestBuilder's 64 MiB

struct Target {
  const char* name;
  std::optional<Codec> codec;  // nothing: ELF
};
inline constexpr Target kZstd{"zstd", Codec::zstd};
inline constexpr Target kElf{"elf", std::nullopt};
inline constexpr Target kTargets[] = {kZstd, {"none", Codec::none}, kElf};

inline std::unique_ptr<formats::DumpWriter> make_writer(const Target& target, int file) {
  return *formats::make_writer(target.codec ? DumpFormat::kdump : DumpFormat::elf, file,
                               target.codec.value_or(Codec::none), std::nullopt);
}

class CountingObserver : public Observer {
 public:
  void progress(std::uint64_t done, std::uint64_t all) override {
    done_ = std::max(done, done_.load());
    all_ = all;
  }
  void source_read() override { ++source_read_; }

  std::atomic<std::uint64_t> done_ = 0;
  std::atomic<std::uint64_t> all_ = 0;
  std::atomic<int> source_read_ = 0;
};

struct Converted {
  Outcome outcome;
  Fd file;
  MemoryImage reopen() const { return *formats::open_dump(Fd(::dup(file.get()))); }
};

inline Converted convert_image(const MemoryImage& image, const Target& target,
                               const ConvertOptions& options = {}) {
  Fd file = builders::memory_file();
  CountingObserver observer;
  auto outcome = convert(image, *make_writer(target, file.get()), options, observer, {});
  EXPECT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(observer.source_read_, 1);
  EXPECT_EQ(observer.done_, observer.all_);
  return {*std::move(outcome), std::move(file)};
}

// A guest of every kind of page.
inline testing::GuestBuilder sample_guest(std::string_view layout = "6.12") {
  testing::GuestBuilder guest(layout);
  guest.pages(
      "2000 free 4\n2010 cache\n2011 private_cache\n2012 anon\n2013 slab\n2020 compound 3\n"
      "2100 anon 4\n2200 hugetlb 9\n3000 kernel\n3001 kernel\n3002 kernel\n");
  guest.log(1'500'000'000, "panic!");
  return guest;
}

inline builders::Bytes page_at(const PhysicalMemory& memory, std::uint64_t pfn) {
  builders::Bytes page(4096);
  const auto got = memory.read({pfn * 4096}, page);
  EXPECT_TRUE(got) << got.error().message;
  page.resize(got->good);
  return page;
}

inline std::string texts(const std::vector<Remark>& remarks) {
  std::string all;
  for (const Remark& remark : remarks) {
    all += remark.text + "\n";
  }
  return all;
}

// The memory of another image, some of whose pages cannot be read, or break the source.
class LossyMemory : public PhysicalMemory {
 public:
  LossyMemory(std::unique_ptr<PhysicalMemory> memory, std::set<std::uint64_t> lost,
              std::optional<std::uint64_t> broken = {})
      : memory_(std::move(memory)), lost_(std::move(lost)), broken_(broken) {}
  Extent extent(PhysAddr address) const override { return memory_->extent(address); }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    const std::uint64_t first = address.value / 4096;
    const std::uint64_t end = (address.value + out.size() + 4095) / 4096;
    if (broken_ && *broken_ >= first && *broken_ < end) {
      return fail(Errc::io, "the disk is broken");
    }
    const auto bad = lost_.lower_bound(first);
    if (bad == lost_.end() || *bad >= end) {
      return memory_->read(address, out);
    }
    const std::uint64_t good = *bad == first ? 0 : *bad * 4096 - address.value;
    TRY(memory_->read(address, out.first(good)));
    return ReadExtent{good, PhysAddr{*bad * 4096}};
  }

 private:
  std::unique_ptr<PhysicalMemory> memory_;
  std::set<std::uint64_t> lost_;
  std::optional<std::uint64_t> broken_;
};

}  // namespace vmcore::convert
