// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/save.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest::save {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Save : public ::testing::Test {
 protected:
  Save() {
    std::string name = (fs::temp_directory_path() / "vmcore-save-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~Save() override { fs::remove_all(folder_); }

  // A file in the place of /proc/vmcore, of a guest whose log tells that much of its crash.
  std::string make_vmcore(int lines) const {
    testing::GuestBuilder builder = SavedGuest::builder();
    for (int line = 0; line < lines; ++line) {
      builder.log(1'600'000'000, "Call Trace: and so on");
    }
    SavedGuest guest(builder.build());
    const std::string path = folder_ / "proc-vmcore";
    const Fd file(::open(path.c_str(), O_RDWR | O_CREAT, 0600));
    const auto writer = formats::make_elf_writer(file.get());
    const auto written = write_dump(**writer, guest.crash());
    EXPECT_TRUE(written) << written.error().message;
    return path;
  }

  fs::path folder_;
};

TEST_F(Save, AConsoleThatIsSlowForEveryLineDoesNotCostTheTarget) {
  const std::string vmcore = make_vmcore(30);
  config::CaptureConfig config;
  config.targets = {{"output", folder_ / "dump"}};
  const auto slow = [](std::string_view) { std::this_thread::sleep_for(milliseconds(200)); };
  EXPECT_EQ(save_crash(vmcore, config, {.silence = seconds(3)}, slow), SaveEnd::complete);
  EXPECT_TRUE(fs::exists(folder_ / "dump"));
}

// The host may still dump what we died of.
TEST_F(Save, OneThatHangsIsToldFromOneThatFails) {
  const std::string vmcore = make_vmcore(1);
  config::CaptureConfig config;
  config.targets = {{"output", folder_ / "no-folder/dump"}};
  const auto hangs = [us = ::getpid()](std::string_view) {
    std::this_thread::sleep_for(seconds(::getpid() == us ? 0 : 60));
  };
  const auto speaks = [](std::string_view) {};
  EXPECT_EQ(save_crash(vmcore, config, {}, speaks), SaveEnd::nothing);
  EXPECT_EQ(save_crash(vmcore, config, {.silence = seconds(1)}, hangs), SaveEnd::died);
  const auto soon = Clock::now() + seconds(1);
  EXPECT_EQ(save_crash(vmcore, config, {.deadline = soon}, hangs), SaveEnd::nothing);
}

TEST_F(Save, ATargetThatDiesCostsItselfOnly) {
  const std::string vmcore = make_vmcore(1);
  config::CaptureConfig config;
  config.targets = {{"output", folder_ / "no-folder/dump"}, {"output", folder_ / "dump"}};
  const auto dies = [](std::string_view line) {
    if (line.find("no-folder") != std::string_view::npos) {
      std::raise(SIGKILL);
    }
  };
  EXPECT_EQ(save_crash(vmcore, config, {}, dies), SaveEnd::complete);
}

}  // namespace
}  // namespace vmcore::guest::save
