// SPDX-License-Identifier: GPL-2.0-or-later
// A synthetic guest, its kernel and the plan for it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "filters/plan.h"
#include "tests/builders/kernel_builder.h"

namespace vmcore::filters {

// Owns the image that the kernel refers to.
struct FoundGuest {
  explicit FoundGuest(testing::GuestBuilder& guest) : image(guest.build()) {
    auto kernels = kernel::find_kernels(image, kernel::Search::registers);
    EXPECT_TRUE(kernels && kernels->kernels.size() == 1);
    found = *std::move(kernels);
  }
  const kernel::GuestKernel& kernel() const { return found.kernels.front(); }
  testing::SparseMemory& memory() { return static_cast<testing::SparseMemory&>(*image.memory); }
  // Where the struct page lies, in layouts with a vmemmap and 64 bytes a struct page.
  PhysAddr struct_page(const testing::GuestBuilder& guest, Pfn pfn) const {
    return kernel().page_tables().translate(guest.vmemmap() + pfn.value * 64)->address;
  }
  // Changes what the mem_section of that number says of its memmap.
  void set_section(const testing::GuestBuilder& guest, std::uint64_t number, std::uint64_t coded) {
    const std::uint64_t size = kernel().info().size("mem_section").value();
    const std::uint64_t at = kernel().info().offset("mem_section.section_mem_map").value();
    const auto root = kernel().read_value<std::uint64_t>(guest.symbol("mem_section"));
    const auto place = kernel().page_tables().translate(VirtAddr{*root} + (number * size + at));
    memory().write_value(place->address, coded);
  }
  Plan plan(unsigned level, unsigned threads = 1, unsigned source_level = 0) const {
    auto plan =
        make_plan(*image.memory, &kernel(), source_level, {.level = level, .threads = threads}, {});
    EXPECT_TRUE(plan) << plan.error().message;
    return *std::move(plan);
  }

  MemoryImage image;
  kernel::FoundKernels found;
};

inline Plan plan_of(testing::GuestBuilder& guest, unsigned level) {
  return FoundGuest(guest).plan(level);
}

// The number of pages of [first, first + count) that are kept.
inline std::uint64_t kept_of(const Plan& plan, std::uint64_t first, std::uint64_t count = 1) {
  std::uint64_t kept = 0;
  for (std::uint64_t pfn = first; pfn < first + count; ++pfn) {
    kept += plan.kept.contains({pfn}) ? 1U : 0U;
  }
  return kept;
}

inline std::uint64_t count_of(const Plan& plan, PageClass page_class) {
  return plan.pages_by_class[static_cast<std::size_t>(page_class)];
}

// Every page is in one class.
inline void expect_classes_add_up(const Plan& plan) {
  std::uint64_t sum = 0;
  for (const std::uint64_t pages : plan.pages_by_class) {
    sum += pages;
  }
  EXPECT_EQ(sum, plan.ram.count());
}

inline std::string texts(const std::vector<Remark>& remarks) {
  std::string all;
  for (const Remark& remark : remarks) {
    all += remark.text + "\n";
  }
  return all;
}

}  // namespace vmcore::filters
