// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/store_work.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "src/vault/vault.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kCrash = 1'700'000'000;  // when the guest crashed, seconds
constexpr std::uint64_t kSince = kCrash * 1'000'000;

class StoreWorkTest : public testing::Test {
 protected:
  StoreWorkTest() {
    char name[] = "/tmp/store-work-XXXXXX";
    folder_ = ::mkdtemp(name);
    vault_.emplace(*vault::Vault::open_to_write(folder_));
  }
  ~StoreWorkTest() override { fs::remove_all(folder_); }

  static report::Manifest manifest(const std::string& guest, std::uint64_t time, bool complete) {
    return {.time = time,
            .capture = {.guest = {.name = guest, .uuid = "u-" + guest}},
            .tool = "vmcorectl",
            .complete = complete};
  }
  vault::Draft begin(const report::Manifest& manifest) {
    auto draft = *vault_->begin(0);
    EXPECT_TRUE(draft.note(manifest));
    EXPECT_TRUE(draft.write("report.txt", "BUG\n"));
    return draft;
  }
  std::string keep(const std::string& guest, std::uint64_t time, bool complete) {
    const auto crash = manifest(guest, time, complete);
    return begin(crash)
        .commit(crash, [](report::Manifest&, const std::string&) { return Result<>(); })
        ->id;
  }
  Recovered since() const { return crash_since(folder_, guest_, kSince); }
  bool there(const std::string& id) const { return fs::exists(folder_ / id); }

  fs::path folder_;
  std::optional<vault::Vault> vault_;
  const GuestId guest_{"qemu:///system", "vm1", "u-vm1"};
};

TEST_F(StoreWorkTest, AWholeCrashComesBeforeParts) {
  EXPECT_TRUE(since().id.empty());
  keep("vm1", kCrash - 1, true);
  keep("vm2", kCrash, true);
  EXPECT_TRUE(since().id.empty()) << "an earlier crash, and that of another guest";
  const std::string part = keep("vm1", kCrash, false);
  EXPECT_EQ(since().id, part);
  EXPECT_FALSE(since().whole);
  const std::string whole = keep("vm1", kCrash + 1, true);
  keep("vm1", kCrash + 2, false);
  EXPECT_EQ(since().id, whole);
  EXPECT_TRUE(since().whole);
}

TEST_F(StoreWorkTest, ACrashThatIsBeingWritten) {
  const vault::Draft other = begin(manifest("vm2", kCrash, false));
  const vault::Draft before = begin(manifest("vm1", kCrash - 1, false));
  EXPECT_FALSE(since().being_written);
  {
    const vault::Draft draft = begin(manifest("vm1", kCrash, false));
    EXPECT_TRUE(since().being_written);
  }
  EXPECT_FALSE(since().being_written);
}

TEST_F(StoreWorkTest, PartsOfThatCrashGo) {
  const std::string before = keep("vm1", kCrash - 1, false);
  const std::string other = keep("vm2", kCrash, false);
  const std::string part = keep("vm1", kCrash, false);
  const std::string held = keep("vm1", kCrash, false);
  const std::string whole = keep("vm1", kCrash + 1, true);
  ASSERT_TRUE(vault_->set_held(held, true));
  EXPECT_EQ(remove_parts(folder_, guest_, kSince, whole), std::vector{part});
  EXPECT_FALSE(there(part));
  for (const std::string& id : {before, other, held, whole}) {
    EXPECT_TRUE(there(id)) << id;
  }
}

}  // namespace
}  // namespace vmcore::daemon
