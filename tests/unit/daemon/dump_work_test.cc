// SPDX-License-Identifier: GPL-2.0-or-later
// vmcorectl is a script here that writes down how it was called.
#include "src/daemon/dump_work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "src/base/whole_file.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class DumpWorkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "vmcorectl-work-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    const std::string program = folder_ / "vmcorectl";
    // A second one at the same time would find the folder.
    std::ofstream(program) << "#!/bin/sh\ncd " << folder_.string()
                           << "\nmkdir busy || echo clash >> calls\necho \"$@\" >> calls\n"
                              "rmdir busy\n";
    ASSERT_EQ(::chmod(program.c_str(), 0755), 0);
    config_.store = "/store";
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string calls_after(DumpWork& work, std::initializer_list<const char*> ids,
                          std::ptrdiff_t count) {
    work.configure(config_);
    for (const char* const id : ids) {
      work.add(id);
    }
    std::string calls;
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (std::ranges::count(calls, '\n') < count && std::chrono::steady_clock::now() < until) {
      EXPECT_TRUE(loop_.run_once(100ms));
      calls = read_file((folder_ / "calls").string()).value_or("");
    }
    return calls;
  }

  fs::path folder_;
  config::Config config_;
  Loop loop_;
};

TEST_F(DumpWorkTest, ChecksAndRunsScriptsOneAtATime) {
  config_.scripts = {"/etc/look.py"};
  config_.script_limit = 90s;
  DumpWork work(loop_, folder_ / "vmcorectl");
  EXPECT_EQ(calls_after(work, {"one", "two"}, 4),
            "debug one --store /store --time-limit 90s --self-check\n"
            "debug one --store /store --time-limit 90s --run /etc/look.py --confined --results "
            "/store/one\n"
            "debug two --store /store --time-limit 90s --self-check\n"
            "debug two --store /store --time-limit 90s --run /etc/look.py --confined --results "
            "/store/two\n");
}

TEST_F(DumpWorkTest, WithoutSelfCheck) {
  config_.self_check = false;
  config_.scripts = {"/a.crash"};
  DumpWork work(loop_, folder_ / "vmcorectl");
  EXPECT_THAT(calls_after(work, {"one"}, 1), ::testing::StartsWith("debug one"));
  EXPECT_THAT(read_file((folder_ / "calls").string()).value(),
              ::testing::Not(::testing::HasSubstr("--self-check")));
}

}  // namespace
}  // namespace vmcore::daemon
