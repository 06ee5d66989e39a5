// SPDX-License-Identifier: GPL-2.0-or-later
// Every number of VMCOREINFO, changed by one digit: no page of the kernel goes unless it is said.
#include <cctype>
#include <map>

#include "src/kernel/proof.h"
#include "tests/unit/filters/planned_guest.h"

namespace vmcore::filters {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;

GuestBuilder guest_of(std::string_view layout) {
  GuestBuilder guest(layout);
  guest.ram(48)
      .types()
      .pages(
          "2000 free 10\n2400 anon\n2401 cache\n2402 private_cache\n2403 slab\n2410 anon 2\n"
          "2418 slab 3\n2420 compound 2\n2440 hugetlb 3\n2450 shmem\n2451 swapcache\n"
          "2460 compound 4\n")
      .listed(0, 0, {{0x2500}, {0x2508}});
  return guest;
}

struct Line {
  std::string key, value;
};

std::vector<Line> numbers_of(const std::string& text) {
  std::vector<Line> lines;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos && line.find('(') < equals &&
        !line.starts_with("SYMBOL")) {
      lines.push_back({std::string(line.substr(0, equals)), std::string(line.substr(equals + 1))});
    }
  }
  return lines;
}

// The number with one digit made another, for each digit.
std::vector<std::string> changed(const std::string& value) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < value.size(); ++i) {
    std::string other = value;
    if (std::isdigit(static_cast<unsigned char>(value[i])) != 0) {
      other[i] = static_cast<char>('0' + (value[i] - '0' + 3) % 10);
      all.push_back(other);
    }
  }
  return all;
}

// Pages that are kept with the right numbers, and not with these.
std::uint64_t lost(const Plan& right, const Plan& plan) {
  return without(right.kept, plan.kept).count();
}

void expect_told(const char* layout) {
  GuestBuilder sound = guest_of(layout);
  const Plan right = plan_of(sound, 31);
  ASSERT_EQ(right.level_reached, 31U) << texts(right.remarks);
  ASSERT_EQ(kept_of(right, 0x2500), 0U);
  std::uint64_t tried = 0;
  for (const Line& line : numbers_of(sound.vmcoreinfo_text())) {
    for (const std::string& value : changed(line.value)) {
      GuestBuilder guest = guest_of(layout);
      guest.vmcoreinfo(line.key, value);
      const MemoryImage image = guest.build();
      const auto found = kernel::find_kernels(image, kernel::Search::registers);
      const bool none = !found || found->kernels.empty();
      const auto plan = make_plan(*image.memory, none ? nullptr : &found->kernels.front(), 0,
                                  {.level = 31, .in_use = kernel::pages_in_use(image)}, {});
      ASSERT_TRUE(plan) << plan.error().message;
      EXPECT_TRUE(plan->level_reached != 31U || lost(right, *plan) == 0)
          << layout << " " << line.key << "=" << value << ": " << lost(right, *plan)
          << " pages are left out silently";
      ++tried;
    }
  }
  EXPECT_GT(tried, 60U);
}

TEST(WrongNumbers, NoPageOfTheKernelGoesSilently5_4) { expect_told("5.4"); }
TEST(WrongNumbers, NoPageOfTheKernelGoesSilently6_1) { expect_told("6.1"); }
TEST(WrongNumbers, NoPageOfTheKernelGoesSilently6_12) { expect_told("6.12"); }
TEST(WrongNumbers, NoPageOfTheKernelGoesSilently7_1) { expect_told("7.1"); }

TEST(WrongNumbers, WhatContradictsTheTypesIsSaid) {
  GuestBuilder guest = guest_of("6.1");
  guest.vmcoreinfo("OFFSET(page.mapping)", "22");
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 1U);
  EXPECT_EQ(plan.kept.count(), plan.ram.count());
  EXPECT_THAT(texts(plan.remarks),
              HasSubstr("OFFSET(page.mapping)=22, the kernel's types (BTF) say 24"));
}

// A kernel without BTF: what is known of its own pages decides.
TEST(WrongNumbers, WithoutTypesSlabIsNoHugePage) {
  GuestBuilder guest("6.1");
  guest.pages("2000 free 10\n2400 anon\n2403 slab\n2418 slab 3\n")
      .vmcoreinfo("NUMBER(HUGETLB_PAGE_DTOR)", "1");
  EXPECT_EQ(kept_of(plan_of(guest, 31), 0x2418, 8), 8U);
}

}  // namespace
}  // namespace vmcore::filters
