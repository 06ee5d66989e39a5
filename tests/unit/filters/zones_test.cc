#include "filters/zones.h"

#include "tests/unit/filters/planned_guest.h"

namespace vmcore::filters {
namespace {

using testing::GuestBuilder;

std::optional<ZoneField> field_of(GuestBuilder& guest) {
  const FoundGuest found(guest);
  const auto layout = *read_page_layout(found.kernel().info(), 64);
  return find_zone_field(found.kernel(), *read_zones(found.kernel()), layout);
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

// Zone 0 of node 0 reads as 0 at every place.
TEST(Zones, FieldNeedsAPageThatTells) {
  GuestBuilder guest("6.12");
  EXPECT_FALSE(field_of(guest));
}

}  // namespace
}  // namespace vmcore::filters
