// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/record_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "tests/fakes/faulty_sys.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

class RecordWriterTest : public testing::Test {
 protected:
  RecordWriterTest() {
    char name[] = "/tmp/vmcored-writer-XXXXXX";
    folder_ = ::mkdtemp(name);
    writer_.emplace(loop_, *GuestRecords::open(folder_));
  }
  ~RecordWriterTest() override {
    fakes::no_faults();
    wait_for([this] { return writer_->idle(); });
    fs::remove_all(folder_);
  }

  void save(const std::string& uuid, const std::string& before) {
    GuestRecord record{.name = "vm", .uuid = uuid, .from = "qemu:///system", .armed = true};
    record.on_crash_before = before;
    writer_->save(record, [this, said = uuid + " " + before](const Result<>& saved) {
      told_.push_back(said + (saved ? "" : " failed"));
    });
  }
  template <class Condition>
  void wait_for(Condition condition) {
    for (const auto end = Loop::Clock::now() + std::chrono::seconds(20);
         !condition() && Loop::Clock::now() < end;) {
      EXPECT_TRUE(loop_.run_once(milliseconds(20)));
    }
    EXPECT_TRUE(condition());
  }
  std::vector<std::string> on_disk() const {
    std::vector<Error> damaged;
    std::vector<std::string> all;
    for (const GuestRecord& record : GuestRecords::open(folder_)->load(damaged)) {
      all.push_back(record.uuid + " " + record.on_crash_before);
    }
    return all;
  }

  fs::path folder_;
  Loop loop_;
  std::optional<RecordWriter> writer_;
  std::vector<std::string> told_;
};

TEST_F(RecordWriterTest, TheLastOneOfAGuestStays) {
  for (const char* const before : {"a", "b", "c", "d"}) {
    save("u1", before);
  }
  EXPECT_TRUE(told_.empty());
  wait_for([this] { return writer_->idle(); });
  EXPECT_THAT(told_, testing::ElementsAre("u1 a", "u1 b", "u1 c", "u1 d"));
  EXPECT_THAT(on_disk(), testing::ElementsAre("u1 d"));
}

TEST_F(RecordWriterTest, AStalledDiskStopsNobodyElse) {
  fakes::faults.stalled = true;
  save("u1", "a");
  save("u1", "b");
  save("u2", "a");
  int turns = 0;
  loop_.after(milliseconds(0), [&] { ++turns; });
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(loop_.run_once(milliseconds(10)));
  }
  EXPECT_EQ(turns, 1);
  EXPECT_TRUE(told_.empty());
  fakes::no_faults();
  wait_for([this] { return writer_->idle(); });
  EXPECT_THAT(told_, testing::UnorderedElementsAre("u1 a", "u1 b", "u2 a"));
  EXPECT_THAT(on_disk(), testing::UnorderedElementsAre("u1 b", "u2 a"));
}

TEST_F(RecordWriterTest, WhatCannotBeWrittenIsTold) {
  fakes::faults.writes_left = 0;
  save("u1", "a");
  wait_for([this] { return writer_->idle(); });
  EXPECT_THAT(told_, testing::ElementsAre("u1 a failed"));
}

}  // namespace
}  // namespace vmcore::daemon
