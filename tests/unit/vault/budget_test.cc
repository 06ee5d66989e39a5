// SPDX-License-Identifier: GPL-2.0-or-later
// What is removed, and of what memory is kept: by table, and for random stores.
#include "src/vault/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>

namespace vmcore::vault {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kNow = 1'000'000;
constexpr Space kRoomy{.total = 1'000'000, .free = 900'000};

// "a1 vm1 s1" is a full dump of 10 bytes; each is an hour younger than the one before.
std::vector<Stored> store(const std::vector<std::array<std::string, 3>>& crashes) {
  std::vector<Stored> stored;
  std::uint64_t number = 0;
  for (const auto& [id, guest, signature] : crashes) {
    ++number;
    stored.push_back({.id = id,
                      .number = number,
                      .time = kNow - 3600 * (crashes.size() - number),
                      .bytes = 10,
                      .guest = {guest},
                      .signature = signature,
                      .dumped = true,
                      .full = true});
  }
  return stored;
}

std::vector<std::string> removed(const std::vector<Stored>& stored, const Budget& budget,
                                 const std::optional<Wanted>& wanted = {},
                                 const Space& space = kRoomy) {
  return choose(stored, budget, space, wanted, kNow).remove;
}

TEST(Budgets, NothingGoesWhereAllIsWell) {
  const auto stored = store({{"a", "vm1", "s"}, {"b", "vm1", "s"}, {"c", "vm1", "s"}});
  EXPECT_THAT(removed(stored, {}), IsEmpty());
  EXPECT_THAT(removed(stored, {.bytes = 30, .count = 3, .guest_bytes = 30, .guest_count = 3}),
              IsEmpty());
  EXPECT_THAT(removed({}, {.bytes = 0, .count = 0}), IsEmpty());
}

TEST(Budgets, AGuestMayHaveLimitsOfItsOwn) {
  auto stored = store({{"a1", "a", "s"},
                       {"b1", "b", "t"},
                       {"a2", "a", "s"},
                       {"b2", "b", "t"},
                       {"a3", "a", "s"},
                       {"b3", "b", "t"},
                       {"c", "c", "u"}});
  stored[0].uuid = "uuid of a";
  const Budget budget{.guest_count = 3,
                      .of_guest = [](const std::string& name, const std::string& uuid) {
                        return name == "b"           ? GuestLimits{.bytes = 10}
                               : uuid == "uuid of a" ? GuestLimits{.count = 2}
                                                     : GuestLimits{};
                      }};
  EXPECT_THAT(removed(stored, budget), ElementsAre("a2", "b2", "b3"));
}

TEST(Budgets, TheOldestRepeatGoesFirst) {
  const auto stored =
      store({{"first", "vm1", "s"}, {"b", "vm1", "s"}, {"c", "vm1", "s"}, {"new", "vm1", "s"}});
  EXPECT_THAT(removed(stored, {.bytes = 30}), ElementsAre("b"));
  EXPECT_THAT(removed(stored, {.count = 2}), ElementsAre("b", "c"));
  EXPECT_THAT(removed(stored, {.count = 1}), ElementsAre("b", "c", "first"));
  EXPECT_THAT(removed(stored, {.count = 0}), ElementsAre("b", "c", "first"));
}

TEST(Budgets, CrashesWithoutSignatureAreNobodysFirst) {
  const auto stored = store({{"a", "vm1", ""}, {"b", "vm1", "s"}, {"c", "vm1", "t"}});
  EXPECT_THAT(removed(stored, {.count = 2}), ElementsAre("a"));
}

TEST(Budgets, OnlyAFullDumpIsTheFirstOfItsSignature) {
  auto stored = store({{"flash", "vm1", "s"}, {"full", "vm1", "s"}, {"c", "vm1", "s"}});
  stored[0].full = false;
  EXPECT_THAT(removed(stored, {.count = 2}), ElementsAre("flash"));
  EXPECT_THAT(removed(stored, {.count = 1}), ElementsAre("flash", "full"));
}

TEST(Budgets, SomeNeverGo) {
  auto stored =
      store({{"held", "vm1", ""}, {"read", "vm1", ""}, {"c", "vm1", ""}, {"new", "", ""}});
  stored[0].held = true;
  stored[1].busy = true;
  const Choice choice = choose(stored, {.bytes = 0}, kRoomy, {}, kNow);
  EXPECT_THAT(choice.remove, ElementsAre("c"));
  EXPECT_THAT(choice.exceeded, HasSubstr("bytes"));
}

TEST(Budgets, ACrashLoopPaysForItself) {
  const auto stored = store({{"quiet", "vm2", "t"},
                             {"again", "vm2", "t"},
                             {"l1", "vm1", "s"},
                             {"l2", "vm1", "s"},
                             {"l3", "vm1", "s"},
                             {"l4", "vm1", "s"}});
  EXPECT_THAT(removed(stored, {.count = 4}), ElementsAre("l2", "l3"));
}

TEST(Budgets, OfAGuest) {
  const auto stored =
      store({{"a", "vm1", ""}, {"b", "vm2", ""}, {"c", "vm1", ""}, {"d", "vm2", ""}});
  EXPECT_THAT(removed(stored, {.guest_count = 1}), ElementsAre("a", "b"));
  EXPECT_THAT(removed(stored, {.guest_bytes = 25}, Wanted{10, {"vm1"}}), ElementsAre("a"));
}

TEST(Budgets, Age) {
  const auto stored = store({{"a", "vm1", "s"}, {"b", "vm1", ""}, {"c", "vm1", ""}});
  EXPECT_THAT(removed(stored, {.age = std::chrono::hours(1)}), ElementsAre("a"));
  EXPECT_THAT(removed(stored, {.age = std::chrono::seconds(0)}), ElementsAre("a", "b"));
  // The clock was set back by a day.
  EXPECT_THAT(choose(stored, {.age = std::chrono::hours(1)}, kRoomy, {}, kNow - 86400).remove,
              IsEmpty());
}

TEST(Budgets, RoomIsMadeBeforeADumpIsWritten) {
  const auto stored = store({{"a", "vm1", ""}, {"b", "vm1", ""}, {"c", "vm1", ""}});
  const Wanted wanted{20, "vm1"};
  EXPECT_THAT(removed(stored, {.bytes = 40}, wanted), ElementsAre("a"));
  EXPECT_THAT(removed(stored, {.count = 3}, wanted), ElementsAre("a"));
  EXPECT_THAT(removed(stored, {}, wanted, {.total = 100, .free = 15}), ElementsAre("a"));
  EXPECT_THAT(removed(stored, {.free_bytes = 10}, wanted, {.total = 100, .free = 15}),
              ElementsAre("a", "b"));
  EXPECT_THAT(removed(stored, {.free_share = 10}, wanted, {.total = 100, .free = 30}), IsEmpty());
  EXPECT_THAT(removed(stored, {.free_share = 11}, wanted, {.total = 100, .free = 30}),
              ElementsAre("a"));
  EXPECT_THAT(removed(stored, {.share = 40}, wanted, {.total = 100, .free = 70}), ElementsAre("a"));
}

TEST(Budgets, DumpsThatAreBeingWrittenHaveTheirRoom) {
  const auto stored = store({{"a", "vm1", ""}, {"b", "vm1", ""}});
  EXPECT_THAT(removed(stored, {}, Wanted{10, {"vm1"}}, {.total = 100, .free = 20}), IsEmpty());
  EXPECT_THAT(removed(stored, {}, Wanted{10, {"vm1"}}, {.total = 100, .free = 20, .promised = 20}),
              ElementsAre("a"));
}

TEST(Budgets, NothingGoesInVain) {
  const auto stored = store({{"a", "vm1", ""}, {"b", "vm1", ""}, {"c", "vm1", ""}});
  const Choice choice = choose(stored, {.bytes = 100}, kRoomy, Wanted{95, {"vm1"}}, kNow);
  EXPECT_THAT(choice.remove, IsEmpty());
  EXPECT_THAT(choice.exceeded, HasSubstr("bytes of the store"));
}

TEST(Budgets, SizesThatNobodyHasDoNotWrapAround) {
  auto stored = store({{"a", "vm1", ""}, {"b", "vm1", ""}, {"c", "vm1", ""}});
  stored[0].bytes = UINT64_MAX;
  stored[1].bytes = UINT64_MAX;
  EXPECT_THAT(removed(stored, {.bytes = 30}), ElementsAre("a", "b"));
  EXPECT_FALSE(choose(stored, {.bytes = UINT64_MAX - 1}, kRoomy, Wanted{UINT64_MAX, {"vm1"}}, kNow)
                   .exceeded.empty());
}

// A store that nobody thought of.
std::vector<Stored> random_store(std::mt19937& random) {
  const auto up_to = [&](unsigned most) {
    return std::uniform_int_distribution<unsigned>(0, most)(random);
  };
  std::vector<Stored> stored(up_to(40));
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    stored[i] = {.id = fmt::format("c{}", i),
                 .number = i + 1,
                 .time = kNow - 50'000 + up_to(60'000),
                 .bytes = up_to(100),
                 .guest = {fmt::format("vm{}", up_to(3))},
                 .signature = up_to(3) == 0 ? "" : fmt::format("s{}", up_to(5)),
                 .full = up_to(3) != 0,
                 .held = up_to(9) == 0,
                 .busy = up_to(9) == 0};
  }
  std::ranges::shuffle(stored, random);
  return stored;
}

Budget random_budget(std::mt19937& random) {
  const auto maybe = [&](unsigned most) -> std::optional<std::uint64_t> {
    const unsigned value = std::uniform_int_distribution<unsigned>(0, 2 * most)(random);
    return value > most ? std::nullopt : std::optional<std::uint64_t>(value);
  };
  Budget budget{.bytes = maybe(2000), .free_bytes = maybe(1000), .count = maybe(40)};
  budget.guest_bytes = maybe(1000);
  budget.guest_count = maybe(20);
  if (const auto age = maybe(50'000)) {
    budget.age = std::chrono::seconds(*age);
  }
  return budget;
}

struct Left {
  std::uint64_t bytes = 0;
  std::uint64_t count = 0;
  std::map<std::string, std::uint64_t> guest_bytes;
  std::map<std::string, std::uint64_t> guest_count;
};

class RandomStores : public ::testing::TestWithParam<unsigned> {};

TEST_P(RandomStores, KeepTheRules) {
  std::mt19937 random(GetParam());
  const std::vector<Stored> stored = random_store(random);
  const Budget budget = random_budget(random);
  const Space space{.total = 4000,
                    .free = std::uniform_int_distribution<unsigned>(0, 2000)(random)};
  std::optional<Wanted> wanted;
  if (random() % 2 == 0) {
    wanted = Wanted{random() % 300, {"vm1"}};
  }
  const Choice choice = choose(stored, budget, space, wanted, kNow);

  const std::set<std::string> gone(choice.remove.begin(), choice.remove.end());
  EXPECT_EQ(gone.size(), choice.remove.size()) << "something goes twice";
  Left left;
  std::uint64_t freed = 0;
  for (const Stored& crash : stored) {
    const bool newest = crash.number == stored.size();
    if (gone.contains(crash.id)) {
      EXPECT_FALSE(crash.held || crash.busy || newest) << crash.id;
      freed += crash.bytes;
      continue;
    }
    left.bytes += crash.bytes;
    ++left.count;
    left.guest_bytes[crash.guest.name] += crash.bytes;
    ++left.guest_count[crash.guest.name];
    const bool may_go = !crash.held && !crash.busy && !newest;
    EXPECT_FALSE(may_go && budget.age && crash.time < kNow &&
                 kNow - crash.time > static_cast<std::uint64_t>(budget.age->count()))
        << crash.id << " is too old";
  }
  if (wanted) {
    left.bytes += wanted->bytes;
    ++left.count;
    left.guest_bytes[wanted->guest.name] += wanted->bytes;
    ++left.guest_count[wanted->guest.name];
  }
  if (choice.exceeded.empty()) {
    EXPECT_LE(left.bytes, budget.bytes.value_or(UINT64_MAX));
    EXPECT_LE(left.count, budget.count.value_or(UINT64_MAX));
    for (const auto& [guest, bytes] : left.guest_bytes) {
      EXPECT_LE(bytes, budget.guest_bytes.value_or(UINT64_MAX)) << guest;
      EXPECT_LE(left.guest_count[guest], budget.guest_count.value_or(UINT64_MAX)) << guest;
    }
    if (wanted || budget.free_bytes) {
      EXPECT_GE(space.free + freed, budget.free_bytes.value_or(0) + (wanted ? wanted->bytes : 0));
    }
  }
}

// What goes last goes last: of limits that look at all crashes alike.
TEST_P(RandomStores, FirstFullDumpsGoLast) {
  std::mt19937 random(GetParam());
  const std::vector<Stored> stored = random_store(random);
  const Choice choice = choose(stored, {.bytes = random() % 2000}, kRoomy, {}, kNow);
  std::map<std::string, std::uint64_t> firsts;
  for (const Stored& crash : stored) {
    if (crash.full && !crash.signature.empty()) {
      const auto [first, is_new] = firsts.try_emplace(crash.signature, crash.number);
      first->second = std::min(first->second, crash.number);
    }
  }
  const std::set<std::string> gone(choice.remove.begin(), choice.remove.end());
  const auto is_first = [&](const Stored& crash) {
    return crash.full && !crash.signature.empty() && firsts[crash.signature] == crash.number;
  };
  const bool first_went = std::ranges::any_of(
      stored, [&](const Stored& crash) { return gone.contains(crash.id) && is_first(crash); });
  for (const Stored& crash : stored) {
    const bool may_go = !crash.held && !crash.busy && crash.number != stored.size();
    EXPECT_FALSE(first_went && may_go && !is_first(crash) && !gone.contains(crash.id)) << crash.id;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomStores, ::testing::Range(1U, 301U));

MemoryVerdict verdict(const std::vector<Stored>& stored, const char* signature, const char* guest) {
  return should_keep_memory(stored, signature, {guest}, kNow,
                            {.guest_most = 2, .signature_most = 2});
}

// Two QEMUs without libvirt, of the same name, in two folders.
TEST(MemoryPolicies, GuestsOfOneNameBehindTwoSocketsAreTwo) {
  auto stored = store({{"a", "vm1", "s"}, {"b", "vm1", "s"}});
  for (Stored& crash : stored) {
    crash.guest.from = "/run/a/vm1.sock";
  }
  const MemoryPolicy policy{
      .rate_window = std::chrono::hours(2), .guest_most = 2, .signature_most = 9};
  const auto keep = [&](const char* socket, const char* signature) {
    return should_keep_memory(stored, signature, {"vm1", socket}, kNow, policy).keep;
  };
  EXPECT_FALSE(keep("/run/a/vm1.sock", "s"));  // a repeat
  EXPECT_FALSE(keep("/run/a/vm1.sock", "t"));  // too many
  EXPECT_TRUE(keep("/run/b/vm1.sock", "s"));
  stored[1].guest.from = "/run/b/vm1.sock";
  EXPECT_THAT(removed(stored, {.guest_count = 1}), IsEmpty());
}

TEST(MemoryPolicies, ARepeatKeepsWhatIsSmall) {
  const auto stored = store({{"a", "vm1", "s"}});
  EXPECT_THAT(verdict(stored, "s", "vm1").why, HasSubstr("repeats"));
  EXPECT_TRUE(verdict(stored, "t", "vm1").keep);
  EXPECT_TRUE(verdict(stored, "s", "vm2").keep);
  EXPECT_TRUE(verdict(stored, "", "vm1").keep);
}

TEST(MemoryPolicies, WindowsEnd) {
  auto stored = store({{"a", "vm1", "s"}});
  stored[0].time = kNow - 24 * 3600 + 1;
  EXPECT_FALSE(verdict(stored, "s", "vm1").keep);
  stored[0].time = kNow - 24 * 3600;
  EXPECT_TRUE(verdict(stored, "s", "vm1").keep);
  // The clock was wrong by years, and is right again.
  stored[0].time = kNow + 100'000'000;
  EXPECT_TRUE(verdict(stored, "s", "vm1").keep);
}

TEST(MemoryPolicies, AnIncompleteDumpIsNoReasonToHaveNone) {
  auto stored = store({{"a", "vm1", "s"}});
  stored[0].full = false;
  EXPECT_TRUE(verdict(stored, "s", "vm1").keep);
}

// A dump that is never complete is tried again, but not for ever.
TEST(MemoryPolicies, IncompleteDumpsCountForTheRates) {
  auto stored = store({{"a", "vm1", "s"}, {"b", "vm1", "s"}});
  for (Stored& crash : stored) {
    crash.full = false;
    crash.time = kNow - 10;
  }
  EXPECT_THAT(verdict(stored, "s", "vm1").why, HasSubstr("of this guest"));
  stored[0].dumped = false;
  EXPECT_TRUE(verdict(stored, "s", "vm1").keep);
}

TEST(MemoryPolicies, AWeakSignatureIsNone) {
  report::ListedCrash crash{
      .id = "20261129T214500Z-host1-vm1-000017",
      .manifest = report::Manifest{.signature = {.exact = "e", .weak = true}}};
  EXPECT_EQ(stored_of(crash).signature, "");
  crash.manifest->signature.weak = false;
  EXPECT_EQ(stored_of(crash).signature, "e");
}

// What vm1 does each minute for a day, and vm2 and vm3 once: as `dump --keep --flash` decides it.
struct Loop {
  std::vector<Stored> stored;
  std::uint64_t number = 0;
  std::uint64_t now = kNow;

  void crash(const std::string& guest, const std::string& signature, const Budget& budget) {
    constexpr std::uint64_t kFlash = 1;
    constexpr std::uint64_t kDump = 100;
    const bool keep = should_keep_memory(stored, signature, {guest}, now, {}).keep;
    const std::uint64_t bytes = keep ? kDump : kFlash;
    stored.push_back({.id = fmt::format("{}", ++number),
                      .number = number,
                      .time = now,
                      .bytes = bytes,
                      .guest = {guest},
                      .signature = signature,
                      .dumped = keep,
                      .full = keep});
    const Choice choice = choose(stored, budget, {.total = 10'000, .free = 10'000}, {}, now);
    std::erase_if(stored, [&](const Stored& one) {
      return std::ranges::find(choice.remove, one.id) != choice.remove.end();
    });
  }
  std::uint64_t bytes_of(const std::string& guest) const {
    std::uint64_t bytes = 0;
    for (const Stored& one : stored) {
      bytes += one.guest.name == guest ? one.bytes : 0;
    }
    return bytes;
  }
};

TEST(CrashLoops, NeitherFillTheStoreNorPushTheOthersOut) {
  constexpr std::uint64_t kDay = 24 * 60;
  const Budget budget{.bytes = 1000, .guest_count = 1000};
  Loop loop;
  loop.crash("vm2", "other", budget);
  for (std::uint64_t minute = 0; minute < 3 * kDay; ++minute) {
    loop.now += 60;
    loop.crash("vm1", "same", budget);
    if (minute == kDay / 2) {
      loop.crash("vm3", "third", budget);
    }
  }
  EXPECT_EQ(loop.bytes_of("vm2"), 100U);
  EXPECT_EQ(loop.bytes_of("vm3"), 100U);
  EXPECT_LE(loop.bytes_of("vm1"), 800U);
  const auto dumped = [](const Stored& one) { return one.guest.name == "vm1" && one.full; };
  EXPECT_TRUE(std::ranges::any_of(loop.stored, [&](const Stored& one) {
    return dumped(one) && one.number == 2;
  })) << "the first full dump went";
  EXPECT_LE(std::ranges::count_if(loop.stored, dumped), 4);
}

// Each crash of the loop is another one: then the rates hold it.
TEST(CrashLoops, OfManySignaturesAreHeldByTheRates) {
  Loop loop;
  const Budget budget{.bytes = 2000, .guest_count = 1000};
  loop.crash("vm2", "other", budget);
  for (unsigned minute = 0; minute < 600; ++minute) {
    loop.now += 60;
    loop.crash("vm1", fmt::format("s{}", minute), budget);
  }
  EXPECT_EQ(loop.bytes_of("vm2"), 100U);
  EXPECT_LE(loop.bytes_of("vm1"), 1900U);
}

TEST(MemoryPolicies, RatesOfGuestsAndSignatures) {
  auto stored = store({{"a", "vm1", "s"}, {"b", "vm1", "t"}, {"c", "vm2", "s"}});
  for (Stored& crash : stored) {
    crash.time = kNow - 10;
  }
  EXPECT_THAT(verdict(stored, "u", "vm1").why, HasSubstr("of this guest"));
  EXPECT_THAT(verdict(stored, "s", "vm3").why, HasSubstr("of this kind"));
  EXPECT_TRUE(verdict(stored, "u", "vm2").keep);
  EXPECT_TRUE(verdict(stored, "t", "vm3").keep);
}

}  // namespace
}  // namespace vmcore::vault
