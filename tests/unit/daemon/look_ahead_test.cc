// SPDX-License-Identifier: GPL-2.0-or-later
// The vmcorectl is a shell script that notes its calls.
#include "src/daemon/look_ahead.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

class LookAheadTest : public testing::Test {
 protected:
  LookAheadTest() {
    char name[] = "/tmp/look-ahead-XXXXXX";
    folder_ = ::mkdtemp(name);
    std::ofstream(program()) << "#!/bin/sh\ncd \"$(dirname \"$0\")\" || exit 1\n"
                                "echo \"begin $*\" >> calls; sleep 0.2; echo \"end\" >> calls\n";
    fs::permissions(program(), fs::perms::owner_all);
  }
  ~LookAheadTest() override { fs::remove_all(folder_); }

  fs::path program() const { return folder_ / "vmcorectl"; }
  std::string calls() const {
    std::ostringstream text;
    text << std::ifstream(folder_ / "calls").rdbuf();
    return text.str();
  }
  void run_until_called(const std::string& wanted) {
    for (const auto end = Loop::Clock::now() + std::chrono::seconds(10);
         calls() != wanted && Loop::Clock::now() < end;) {
      EXPECT_TRUE(loop_.run_once(milliseconds(20)));
    }
    EXPECT_EQ(calls(), wanted);
  }

  fs::path folder_;
  Loop loop_;
};

TEST_F(LookAheadTest, LooksAtOneAfterTheOther) {
  LookAhead ahead(loop_, program(), milliseconds(1), [](const GuestId&) { return true; });
  ahead.add({"qemu:///system", "one", "u1"});
  ahead.add({"qemu:///system", "two", "u2"});
  const std::string words = "begin info --output json --ends-with-stdin -c qemu:///system ";
  run_until_called(words + "u1\nend\n" + words + "u2\nend\n");
}

TEST_F(LookAheadTest, OnceAtADomainThatIsStartedAndArmed) {
  LookAhead ahead(loop_, program(), milliseconds(1), [](const GuestId&) { return true; });
  const std::string words = "begin info --output json --ends-with-stdin -c qemu:///system ";
  ahead.add({"qemu:///system", "one", "u1"});
  ahead.add({"qemu:///system", "one", "u1"});
  ahead.add({"qemu:///system", "two", "u2"});
  run_until_called(words + "u1\nend\n" + words + "u2\nend\n");
  ahead.add({"qemu:///system", "one", "u1"});  // with another QEMU
  run_until_called(words + "u1\nend\n" + words + "u2\nend\n" + words + "u1\nend\n");
}

TEST_F(LookAheadTest, NotAtAGuestThatIsNotWantedAnyMore) {
  LookAhead ahead(loop_, program(), milliseconds(1),
                  [](const GuestId& guest) { return guest.name != "one"; });
  ahead.add({"qemu:///system", "one", "u1"});
  ahead.add({"qemu:///system", "two", "u2"});
  run_until_called("begin info --output json --ends-with-stdin -c qemu:///system u2\nend\n");
}

}  // namespace
}  // namespace vmcore::daemon
