// SPDX-License-Identifier: GPL-2.0-or-later
// When a crash is whole, only what is proven to be a part of it is removed from the store.
#include "src/daemon/store_work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "src/report/crash_event.h"
#include "src/vault/vault.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kEvent = 1'796'593'500'123'456;

class StoreWork : public testing::Test {
 protected:
  struct Crash {
    std::string name = "vm1";
    std::uint64_t event_us = kEvent;
    std::string kind = "panicked";
    bool complete = false;
    bool memory_read = false;
  };

  StoreWork() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    root_ = ::mkdtemp(folder);
  }
  ~StoreWork() override { fs::remove_all(root_); }

  vault::Vault vault() { return vault::Vault::open_to_write(store()).value(); }
  fs::path store() const { return root_ / "store"; }

  std::string keep(const Crash& crash) {
    const vault::Vault vault = this->vault();
    auto draft = vault.begin(0).value();
    const report::CrashEvent event{
        .kind = crash.kind, .time_us = crash.event_us, .guest = crash.name};
    EXPECT_TRUE(draft.write("event.json", report::to_json(event)));
    report::Manifest manifest{.time = crash.event_us / 1'000'000,
                              .reason = "panic",
                              .capture = {.guest = {.name = crash.name, .host = "host1"}},
                              .tool = "test"};
    manifest.memory_read = crash.memory_read;
    const auto kept =
        draft.commit(manifest, [&](report::Manifest& described, const std::string&) -> Result<> {
          if (crash.complete) {
            described.dump = report::StoredDump{.file = "vmcore", .release = "6.12"};
            described.complete = true;
          }
          return {};
        });
    EXPECT_TRUE(kept) << kept.error().message;
    return kept->id;
  }

  std::vector<std::string> remove_parts_of(const std::string& whole,
                                           const std::string& known = {}) {
    return remove_parts(store(), {.from = "qemu:///system", .name = "vm1"}, {whole, kEvent, known});
  }
  std::vector<std::string> ids() {
    std::vector<std::string> ids;
    const auto crashes = vault().list().value();
    for (const report::ListedCrash& crash : crashes) {
      ids.push_back(crash.id);
    }
    return ids;
  }

  fs::path root_;
};

TEST_F(StoreWork, PartsOfAWholeCrashAreRemoved) {
  const std::string first = keep({});
  const std::string second = keep({});
  const std::string whole = keep({.complete = true});
  EXPECT_THAT(remove_parts_of(whole), ElementsAre(first, second));
  EXPECT_THAT(ids(), ElementsAre(whole));
}

TEST_F(StoreWork, NothingOfOtherCrashesIsRemoved) {
  keep({.name = "vm2"});
  keep({.event_us = kEvent + 1});
  keep({.kind = "reset-trapped"});  // its guardian may have carried it on
  keep({.complete = true});
  const std::string whole = keep({.complete = true});
  EXPECT_THAT(remove_parts_of(whole), IsEmpty());
  EXPECT_EQ(ids().size(), 5U);
}

// Its policy may have been carried out, and it may have crashed again before vmcored was started.
TEST_F(StoreWork, APartWhoseGuestMayHaveBeenCarriedOnStays) {
  const std::string part = keep({.memory_read = true});
  const std::string whole = keep({.complete = true});
  EXPECT_THAT(remove_parts_of(whole), IsEmpty());
  EXPECT_THAT(remove_parts_of(whole, part), ElementsAre(part));
}

TEST_F(StoreWork, ACrashIsFoundByItsEvent) {
  const GuestId guest{.from = "qemu:///system", .name = "vm1"};
  EXPECT_FALSE(crash_of_event(store(), guest, kEvent));
  keep({.name = "vm2", .complete = true});
  keep({.event_us = kEvent + 1, .complete = true});
  EXPECT_FALSE(crash_of_event(store(), guest, kEvent));
  const std::string part = keep({.kind = "reset-trapped"});
  ASSERT_TRUE(crash_of_event(store(), guest, kEvent));
  EXPECT_EQ(crash_of_event(store(), guest, kEvent)->id, part);
  EXPECT_FALSE(crash_of_event(store(), guest, kEvent)->whole);
  const std::string whole = keep({.complete = true});
  keep({});
  EXPECT_EQ(crash_of_event(store(), guest, kEvent)->id, whole);
  EXPECT_TRUE(crash_of_event(store(), guest, kEvent)->whole);
}

TEST_F(StoreWork, NothingIsRemovedForACrashThatIsNotWhole) {
  const std::string part = keep({});
  EXPECT_THAT(remove_parts_of(keep({})), IsEmpty());
  EXPECT_THAT(remove_parts_of("20261206T214500Z-host1-vm1-000099"), IsEmpty());
  const std::string whole = keep({.complete = true});
  std::ofstream(store() / whole / "event.json") << "{}";  // damaged
  EXPECT_THAT(remove_parts_of(whole), IsEmpty());
  EXPECT_EQ(ids().size(), 3U);
}

TEST_F(StoreWork, APartThatIsHeldStays) {
  const std::string part = keep({});
  ASSERT_TRUE(vault().set_held(part, true));
  EXPECT_THAT(remove_parts_of(keep({.complete = true})), IsEmpty());
}

}  // namespace
}  // namespace vmcore::daemon
