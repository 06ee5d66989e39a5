// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/zones.h"

#include "tests/unit/filters/planned_guest.h"

namespace vmcore::filters {
namespace {

using testing::GuestBuilder;

std::optional<ZoneField> field_of(GuestBuilder& guest) {
  const FoundGuest found(guest);
  const auto layout = *read_page_layout(found.kernel().info(), 64);
  const auto zones = read_zones(found.kernel());
  return zones ? find_zone_field(found.kernel(), *zones, layout) : std::nullopt;
}

TEST(Zones, AreFoundInEveryNode) {
  GuestBuilder guest("6.12");
  const FoundGuest found(guest);
  const auto zones = read_zones(found.kernel());
  ASSERT_TRUE(zones);
  ASSERT_EQ(zones->size(), 3U);
  EXPECT_EQ(zones->at(2).index, 2U);
  EXPECT_EQ(zones->at(2).node, 0U);
  EXPECT_EQ(zones->at(2).address - zones->at(1).address, 1536U);
}

TEST(Zones, FreePagesAreCounted) {
  GuestBuilder guest("6.1");
  guest.pages("2000 free\n2004 free 2\n2400 free 10\n").isolated({0x2400});
  const FoundGuest found(guest);
  const auto count = count_free(found.kernel(), *read_zones(found.kernel()));
  ASSERT_TRUE(count);
  EXPECT_EQ(count->counter, 5U);
  EXPECT_EQ(count->listed, 1029U);
}

TEST(Zones, FieldOfFlags) {
  for (const char* layout : {"5.4", "5.15", "6.1", "6.6", "6.12", "7.1"}) {
    GuestBuilder guest(layout);
    guest.pages("2004 free 2\n");
    const auto field = field_of(guest);
    ASSERT_TRUE(field) << layout;
    EXPECT_EQ(field->shift, 51U);
    EXPECT_TRUE(field->is_device(std::uint64_t{4} << 51));
    EXPECT_TRUE(field->is_device(std::uint64_t{12} << 51));
    EXPECT_FALSE(field->is_device(std::uint64_t{5} << 51));
    EXPECT_FALSE(field->is_device(std::uint64_t{3} << 51));
  }
}

TEST(Zones, FieldNamesTheNodeToo) {
  constexpr unsigned kZone1OfNode1 = 1U << 3 | 1;
  for (const unsigned place : {kZone1OfNode1, 1U}) {
    GuestBuilder guest("6.12");
    guest.pages("2004 free 2\n").zone({{0}, 0x4000}, place);
    FoundGuest found(guest);
    const auto table = found.kernel().page_tables().translate(guest.symbol("node_data"));
    const auto node = found.kernel().read_value<std::uint64_t>(guest.symbol("node_data"));
    found.memory().write_value(table->address, std::uint64_t{0});
    found.memory().write_value(table->address + 8, *node);
    const auto zones = *read_zones(found.kernel());
    ASSERT_EQ(zones.size(), 3U);
    EXPECT_EQ(zones.front().node, 1U);
    const auto layout = *read_page_layout(found.kernel().info(), 64);
    EXPECT_EQ(find_zone_field(found.kernel(), zones, layout).has_value(), place == kZone1OfNode1);
  }
}

TEST(Zones, FieldThatDoesNotFitIsNotBelieved) {
  for (const auto& [key, value] : {std::pair{"LENGTH(node_data)", "512"},
                                   {"LENGTH(node_data)", "2048"},
                                   {"LENGTH(node_data)", "1000"},
                                   {"LENGTH(node_data)", "18446744073709551615"},
                                   {"OFFSET(page.lru)", "16"},
                                   {"OFFSET(page.lru)", "4096"}}) {
    GuestBuilder guest("6.12");
    guest.pages("2004 free 2\n2400 free 10\n").vmcoreinfo(key, value);
    EXPECT_FALSE(field_of(guest)) << key << value;
  }
  GuestBuilder other("6.12");
  other.pages("2004 free 2\n").zone({{0}, 0x4000}, 2);
  EXPECT_FALSE(field_of(other));
}

TEST(Zones, FieldNeedsAFreePage) {
  GuestBuilder guest("6.12");
  EXPECT_FALSE(field_of(guest));
}

// Zone 0 of node 0 reads as 0 at every place.
TEST(Zones, FieldNeedsAPageThatTells) {
  GuestBuilder guest("6.12");
  guest.pages("2004 free 2\n").zone({{0}, 0x4000}, 0);
  FoundGuest found(guest);
  const auto zones = *read_zones(found.kernel());
  const auto list_of = [&](std::uint64_t zone, std::uint64_t order) {
    const VirtAddr list = zones.at(zone).address + (256 + order * 88);
    return found.kernel().page_tables().translate(list)->address;
  };
  for (std::uint64_t order = 0; order < 11; ++order) {
    for (std::uint64_t type = 0; type < 5; ++type) {
      found.memory().write_value(list_of(1, order) + type * 16, std::uint64_t{0});
    }
  }
  found.memory().write_value(list_of(0, 2), guest.vmemmap().value + 0x2004 * 64 + 8);
  const auto layout = *read_page_layout(found.kernel().info(), 64);
  EXPECT_FALSE(find_zone_field(found.kernel(), zones, layout));
  found.memory().write_value(list_of(1, 2), guest.vmemmap().value + 0x2005 * 64 + 8);
  found.memory().write_value(found.struct_page(guest, {0x2005}), std::uint64_t{1} << 51);
  EXPECT_TRUE(find_zone_field(found.kernel(), zones, layout));
}

}  // namespace
}  // namespace vmcore::filters
