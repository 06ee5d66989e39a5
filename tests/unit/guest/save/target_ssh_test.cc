// SPDX-License-Identifier: GPL-2.0-or-later
// Target ssh, with scripts in the place of the client.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "src/formats/guest_stream/protocol.h"
#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest::save {
namespace {

namespace fs = std::filesystem;

class TargetSsh : public ::testing::Test {
 protected:
  TargetSsh() {
    std::signal(SIGPIPE, SIG_IGN);
    std::string name = (fs::temp_directory_path() / "vmcore-ssh-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    guest_.config.ssh = {.client = folder_ / "ssh",
                         .key = "/the/key",
                         .known_hosts = "/the/hosts",
                         .command = "take it"};
  }
  ~TargetSsh() override { fs::remove_all(folder_); }

  Result<Saved> save(const std::string& script) {
    std::ofstream(folder_ / "ssh") << "#!/bin/sh\ncd " << folder_.string() << "\n" << script;
    ::chmod((folder_ / "ssh").c_str(), 0755);
    return save_to_ssh("me@192.0.2.1", guest_.crash());
  }
  std::string read(const char* name) const {
    std::ostringstream text;
    text << std::ifstream(folder_ / name).rdbuf();
    return text.str();
  }

  fs::path folder_;
  SavedGuest guest_;
};

TEST_F(TargetSsh, TheClientGetsTheStream) {
  const auto saved = save("printf '%s\\n' \"$@\" > words; cat > stream; echo all of it >&2\n");
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_FALSE(saved->outcome.incomplete);
  EXPECT_EQ(saved->place, "me@192.0.2.1 over SSH");
  EXPECT_EQ(guest_.said.back(), "ssh: all of it");
  const std::string stream = read("stream");
  EXPECT_EQ(stream.find("RELEASE=6.12.0-test"), sizeof(formats::FrameHeader) + 10);
  EXPECT_NE(stream.rfind("PAGES="), std::string::npos);
  const std::string words = "\n" + read("words");
  for (const char* const word :
       {"\n-i\n/the/key\n", "\n-p\n22\n", "\nBatchMode=yes\n", "\nStrictHostKeyChecking=yes\n",
        "\nUserKnownHostsFile=/the/hosts\n", "\n-l\nme\n--\n192.0.2.1\ntake it\n"}) {
    EXPECT_NE(words.find(word), std::string::npos) << words;
  }
}

TEST_F(TargetSsh, TheCommandHasTheLastWord) {
  const auto failed = save("cat > /dev/null; echo no room >&2; exit 1\n");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "\"take it\" exited with status 1: no room");
  const auto incomplete = save("cat > /dev/null; exit 3\n");
  ASSERT_TRUE(incomplete);
  EXPECT_TRUE(incomplete->outcome.incomplete);
}

TEST_F(TargetSsh, AClientThatTakesNothingSaysWhy) {
  const auto refused = save("echo 'ssh: connect: No route to host' >&2; exit 255\n");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            (folder_ / "ssh").string() + ": ssh: connect: No route to host");
  const auto killed = save("kill -9 $$\n");
  ASSERT_FALSE(killed);
  EXPECT_NE(killed.error().message.find("was killed by signal 9"), std::string::npos);
  guest_.config.ssh.client = "/none";
  EXPECT_FALSE(save_to_ssh("me@192.0.2.1", guest_.crash()));
}

TEST_F(TargetSsh, ItsWordsAreBounded) { EXPECT_FALSE(save("cat > /dev/null; exec yes\n")); }

TEST_F(TargetSsh, ManyWordsAreNoFailure) {
  EXPECT_TRUE(
      save("cat > /dev/null; i=0\n"
           "while [ $i -lt 9000 ]; do echo 0123456789; i=$((i + 1)); done\nexit 0\n"));
}

TEST_F(TargetSsh, ADestinationIsAUserAndAnAddress) {
  for (const char* const where : {"", "192.0.2.1", "@192.0.2.1", "me@host", "-oX@192.0.2.1"}) {
    EXPECT_EQ(save_to_ssh(where, guest_.crash()).error().code, Errc::invalid) << where;
  }
}

}  // namespace
}  // namespace vmcore::guest::save
