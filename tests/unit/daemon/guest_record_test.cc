// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/guest_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;

GuestRecord full() {
  GuestRecord record{.name = "vm 1/ä", .uuid = "1b4e28ba", .from = "qemu:///system"};
  record.armed = record.trap_resets = true;
  record.on_crash_before = "restart";
  record.actions_before = {"reboot=reset", "shutdown=poweroff"};
  record.crash = RecordedCrash{.process = acquire::ProcessKey{7, 1234}, .time_us = 5};
  record.crash->settled = true;
  record.crash->id = "20261129T214500Z-host1-vm1-000017";
  record.crash->policy_due = "restart";
  return record;
}

class GuestRecordsTest : public testing::Test {
 protected:
  GuestRecordsTest() {
    char name[] = "/tmp/vmcored-records-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~GuestRecordsTest() override { fs::remove_all(folder_); }

  std::vector<GuestRecord> load() {
    damaged_.clear();
    return GuestRecords::open(folder_)->load(damaged_);
  }

  fs::path folder_;
  std::vector<Error> damaged_;
};

TEST(GuestRecordTest, JsonKeepsAllOfIt) {
  const auto back = record_from_json(to_json(full()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, full());
  const GuestRecord bare{.name = "vm1", .from = "/run/vm1.qmp"};
  EXPECT_EQ(*record_from_json(to_json(bare)), bare);
}

TEST(GuestRecordTest, WhatIsNoRecordIsRefused) {
  for (const char* text : {"", "{}", "[]", R"({"schema": "vmcored-guest/1", "from": 7})"}) {
    const auto record = record_from_json(text);
    ASSERT_FALSE(record) << text;
    EXPECT_EQ(record.error().code, Errc::malformed);
  }
}

TEST_F(GuestRecordsTest, WhatIsSavedIsLoaded) {
  const auto records = GuestRecords::open(folder_ / "made");
  ASSERT_TRUE(records);
  GuestRecord record = full();
  ASSERT_TRUE(records->save(record));
  record.crash.reset();
  ASSERT_TRUE(records->save(record));
  EXPECT_THAT(records->load(damaged_), testing::ElementsAre(record));
  EXPECT_EQ(fs::status(folder_ / "made").permissions(), fs::perms::owner_all);
}

TEST_F(GuestRecordsTest, GuestsOfTheSameNameStayApart) {
  const auto records = *GuestRecords::open(folder_);
  GuestRecord one{.name = "a/b", .from = "/run/a", .armed = true};
  GuestRecord other{.name = "a_b", .from = "/run/b", .armed = true};
  ASSERT_TRUE(records.save(one));
  ASSERT_TRUE(records.save(other));
  EXPECT_THAT(load(), testing::UnorderedElementsAre(one, other));
}

TEST_F(GuestRecordsTest, ARecordThatSaysNothingLeavesNoFile) {
  const auto records = *GuestRecords::open(folder_);
  GuestRecord record = full();
  ASSERT_TRUE(records.save(record));
  ASSERT_TRUE(records.save({.name = record.name, .uuid = record.uuid, .from = record.from}));
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(GuestRecordsTest, TwoServicesDoNotShareTheFolder) {
  const auto records = *GuestRecords::open(folder_);
  auto lock = records.lock();
  ASSERT_TRUE(lock);
  const auto second = GuestRecords::open(folder_)->lock();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::busy);
  EXPECT_THAT(second.error().message, testing::HasSubstr(folder_.string()));
  lock->reset();
  EXPECT_TRUE(records.lock());
}

TEST_F(GuestRecordsTest, ADamagedFileHidesNoOther) {
  ASSERT_TRUE(GuestRecords::open(folder_)->save(full()));
  std::ofstream(folder_ / "bad.json") << "{";
  EXPECT_THAT(load(), testing::ElementsAre(full()));
  ASSERT_EQ(damaged_.size(), 1U);
  EXPECT_THAT(damaged_[0].message, testing::HasSubstr("bad.json"));
}

}  // namespace
}  // namespace vmcore::daemon
