// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/config/capture_config.h"

#include <gtest/gtest.h>

namespace vmcore::guest::config {
namespace {

TEST(CaptureConfig, RebootsLater) {
  const auto config = parse_config("on-success = reboot:30\n");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->on_success, EndAction::reboot);
  EXPECT_EQ(config->reboot_after, std::chrono::seconds(30));
  EXPECT_EQ(parse_config(format_config(*config)).value(), *config);
  EXPECT_FALSE(parse_config("on-success = reboot:\n"));
  EXPECT_FALSE(parse_config("on-success = halt:30\n"));
  EXPECT_FALSE(parse_config("on-failure = reboot:30\n"));
}

TEST(CaptureConfig, AFileChangesTheDefaults) {
  const auto config = parse_config(
      "# where\n"
      "target = file:UUID=12-34:/var/crash\n"
      "  target=raw:/dev/vdb\n"
      "\n"
      "deadline = 30\n"
      "on-failure = shell\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->targets,
            (std::vector<Target>{{"file", "UUID=12-34:/var/crash"}, {"raw", "/dev/vdb"}}));
  EXPECT_EQ(config->deadline, std::chrono::seconds(30));
  EXPECT_EQ(config->on_failure, EndAction::shell);
  EXPECT_EQ(config->on_success, EndAction::reboot);
}

TEST(CaptureConfig, WhatIsWrittenIsReadBack) {
  CaptureConfig config;
  config.targets = {{"port", ""}, {"file", "/dev/vda1:/crash"}};
  config.level = 1;
  config.keep = 0;
  config.deadline = std::chrono::seconds(0);
  config.on_success = EndAction::halt;
  config.on_failure = EndAction::poweroff;
  config.encrypt_to = seal::PublicKey{1, 2, 3};
  config.network = *parse_network("eth0,10.0.2.15/24");
  config.tag = "t1";
  EXPECT_EQ(parse_config(format_config(config)), config);
  EXPECT_EQ(parse_config(format_config({})), CaptureConfig());
}

// One of an older vmcore-guest, which tells no version, and of a newer one.
TEST(CaptureConfig, Versions) {
  EXPECT_EQ(parse_config("keep = 5\n")->keep, 5U);
  EXPECT_EQ(parse_config("version = 1\nkeep = 5\n")->keep, 5U);
  EXPECT_TRUE(format_config({}).starts_with("version = 1\n"));
  const std::string newer = "version = 2\nof-later = 1\n";
  const auto refused = parse_config(newer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "line 1: version 2 of the configuration is of a newer vmcore-guest; this one "
            "understands versions up to 1");
  std::vector<Remark> remarks;
  EXPECT_EQ(parse_config_anyhow(newer, remarks), CaptureConfig());
  EXPECT_EQ(remarks.size(), 1U);
}

TEST(CaptureConfig, BlanksAroundAColonAreNoPartOfATarget) {
  EXPECT_EQ(parse_config("target = port :\ntarget = raw : /dev/vdb\n")->targets,
            (std::vector<Target>{{"port", ""}, {"raw", "/dev/vdb"}}));
}

TEST(CaptureConfig, TheLastWordOfProcCmdlineEndsWithItsLine) {
  CaptureConfig config;
  EXPECT_TRUE(apply_command_line(config, "quiet vmcore.keep=2 vmcore.deadline=8\n").empty());
  EXPECT_EQ(config.keep, 2U);
  EXPECT_EQ(config.deadline, std::chrono::seconds(8));
}

TEST(CaptureConfig, AnErrorNamesItsLine) {
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {"level = 31\nlevels = 1\n", "line 2: unknown key \"levels\""},
           {"level = 32\n", "line 1: \"32\" is not a number from 0 to 31"},
           {"level\n", "line 1: \"level\" is not KEY = VALUE"},
           {"keep = 1\nkeep = 2\n", "line 2: keep takes one value, not 2"},
           {"on-success = sleep\n",
            "line 1: unknown action \"sleep\": use reboot, poweroff, halt or shell"},
           {"target =\n", "line 1: the kind of the target is missing (KIND or KIND:WHERE)"},
           {"target = :\n", "line 1: the kind of the target is missing (KIND or KIND:WHERE)"},
           {"encrypt-to = x25519-secret:00\n",
            "line 1: \"a secret key\" is not a public key (x25519:...): give the line that "
            "`vmcorectl key FILE` prints"},
           {"target = tcp:192.0.2.1:1\n",
            "target tcp sends only sealed dumps: set encrypt-to to the key that `vmcorectl key "
            "FILE` prints"},
           {"network = eth0\n", "line 1: \"eth0\" is not INTERFACE,ADDRESS/PREFIX[,GATEWAY]"}}) {
    const auto config = parse_config(text);
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().message, message);
  }
}

TEST(CaptureConfig, TheCommandLineGoesBeforeTheFile) {
  CaptureConfig config;
  config.level = 1;
  const auto remarks = apply_command_line(
      config,
      "root=/dev/vda vmcore.target=port:x,raw:/dev/vdb quiet vmcore.level=8 vmcore.deadline=x");
  EXPECT_EQ(config.targets, (std::vector<Target>{{"port", "x"}, {"raw", "/dev/vdb"}}));
  EXPECT_EQ(config.level, 8U);
  EXPECT_EQ(config.deadline, std::chrono::seconds(600));
  ASSERT_EQ(remarks.size(), 1U);
  EXPECT_EQ(remarks[0].text, "vmcore.deadline=x: \"x\" is not a number from 0 to 604800");
}

TEST(CaptureConfig, AWordIsTakenApartAsTheKernelDoes) {
  CaptureConfig config;
  const auto remarks =
      apply_command_line(config, R"(vmcore.ssh-command="take it" "vmcore.tag=a b" vmcore.level)");
  EXPECT_EQ(config.ssh.command, "take it");
  EXPECT_EQ(config.tag, "a b");
  ASSERT_EQ(remarks.size(), 1U);
  EXPECT_EQ(remarks[0].text, "vmcore.level: the value is missing (vmcore.KEY=VALUE)");
}

TEST(CaptureConfig, AKeyThatIsNotUnderstoodSealsToNobody) {
  const std::string key = seal::format_public_key({1, 2, 3});
  for (const std::string& word :
       {std::string("vmcore.encrypt-to=x25519:12"), std::string("vmcore.encrypt-to="),
        std::string("vmcore.encrypt-to"), std::string("\"vmcore.encrypt-to=x y\""),
        "vmcore.encrypt_to=" + key}) {
    CaptureConfig config;
    config.encrypt_to = seal::PublicKey{4};
    EXPECT_EQ(apply_command_line(config, "quiet " + word).size(), 1U) << word;
    EXPECT_TRUE(config.sealed_to_nobody) << word;
    EXPECT_TRUE(apply_command_line(config, "vmcore.encrypt-to=" + key).empty());
    EXPECT_FALSE(config.sealed_to_nobody);
  }
  CaptureConfig config;
  EXPECT_EQ(apply_command_line(config, "vmcore.level=x").size(), 1U);
  EXPECT_FALSE(config.sealed_to_nobody);
}

TEST(CaptureConfig, AFileThatIsNotUnderstoodGivesTheDefaults) {
  const std::string key = seal::format_public_key({1, 2, 3});
  std::vector<Remark> remarks;
  EXPECT_EQ(parse_config_anyhow("level = 99\n", remarks), CaptureConfig());
  ASSERT_EQ(remarks.size(), 1U);
  EXPECT_EQ(remarks[0].text, "line 1: \"99\" is not a number from 0 to 31");
  for (const std::string& text :
       {"level = 99\n  encrypt-to = " + key, "encrypt_to = " + key, std::string("encrypt-to")}) {
    const CaptureConfig config = parse_config_anyhow(text + "\n", remarks);
    EXPECT_EQ(config.targets, CaptureConfig().targets);
    EXPECT_TRUE(config.sealed_to_nobody) << text;
  }
  EXPECT_EQ(parse_config_anyhow("encrypt-to = " + key, remarks).encrypt_to,
            (seal::PublicKey{1, 2, 3}));
}

}  // namespace
}  // namespace vmcore::guest::config
