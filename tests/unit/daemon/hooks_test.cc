// SPDX-License-Identifier: GPL-2.0-or-later
// Hooks are real scripts here.
#include "src/daemon/hooks.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "src/base/whole_file.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class HookRuns : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "vmcorectl-hooks-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    fs::create_directory(folder_ / "hooks.d");
    ASSERT_EQ(::chmod((folder_ / "hooks.d").c_str(), 0755), 0);
    settings_.folder = folder_ / "hooks.d";
    settings_.limit = 60s;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path hook(const std::string& name, const std::string& script, mode_t mode = 0755) {
    const fs::path path = settings_.folder / name;
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }

  std::string out() const { return folder_ / "out"; }
  std::string written() const { return read_file(out()).value_or("nothing"); }

  // All that end until nothing is left.
  static std::vector<HookEnd> finish(Hooks& hooks) {
    std::vector<HookEnd> ended;
    while (!hooks.idle()) {
      pollfd ready{hooks.fd(), POLLIN, 0};
      if (::poll(&ready, 1, 30'000) != 1) {
        ADD_FAILURE() << "nothing happens";
        break;
      }
      std::ranges::move(hooks.step(), std::back_inserter(ended));
    }
    return ended;
  }

  std::vector<HookEnd> run(HookCrash crash = {.id = "the-id", .manifest = "{}"}) {
    Hooks hooks = Hooks::create(settings_).value();
    hooks.start(std::move(crash));
    return finish(hooks);
  }

  // Whether the process that a hook wrote down has been killed. Its signal may be on the way.
  bool is_gone() const {
    const std::string stat = "/proc/" + written().substr(0, written().find('\n')) + "/stat";
    for (int i = 0; i < 10'000; ++i) {
      if (!fs::exists(stat) || first_line(stat).find(") Z ") != std::string::npos) {
        return true;
      }
      ::usleep(1000);
    }
    return false;
  }

  fs::path folder_;
  HookSettings settings_;
};

TEST_F(HookRuns, InTheOrderOfTheirNames) {
  hook("20-b", "echo b >> " + out());
  hook("10-a.sh", "echo a >> " + out());
  const auto ended = run();
  ASSERT_THAT(ended, SizeIs(2));
  EXPECT_EQ(ended[0].program, "10-a.sh");
  EXPECT_EQ(ended[0].crash, "the-id");
  EXPECT_TRUE(ended[0].done && ended[1].done);
  EXPECT_EQ(written(), "a\nb\n");
}

TEST_F(HookRuns, ThoseThatHaveRunAlreadyDoNot) {
  hook("10-mail", "echo mail >> " + out());
  hook("20-chat", "echo chat >> " + out());
  EXPECT_THAT(run({.id = "the-id", .manifest = "{}", .ended = {"10-mail", "gone"}}), SizeIs(1));
  EXPECT_EQ(written(), "chat\n");
}

TEST_F(HookRuns, WhatAHookGets) {
  hook("a", "cat > " + out() + "; echo \"$VMCORECTL_CRASH $VMCORECTL_FOLDER $SECRET $(pwd)\"");
  ::setenv("SECRET", "secret", 1);
  const std::string manifest(300'000, 'x');  // more than a pipe holds
  const auto ended = run({.id = "id-7", .folder = "/store/id-7", .manifest = manifest});
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(written(), manifest);
  EXPECT_THAT(ended[0].output, ElementsAre("id-7 /store/id-7  /"));
}

TEST_F(HookRuns, AHookThatDoesNotReadIsNoProblem) {
  hook("a", "exit 0");
  EXPECT_TRUE(run({.id = "i", .manifest = std::string(300'000, 'x')}).at(0).done);
}

TEST_F(HookRuns, NoDescriptorIsInherited) {
  std::ofstream(folder_ / "inherited") << "";
  const int open = ::open((folder_ / "inherited").c_str(), O_RDONLY);  // not close-on-exec
  hook("a", "ls -l /proc/$$/fd | grep -c inherited");
  const auto ended = run();
  ::close(open);
  EXPECT_THAT(ended.at(0).output, ElementsAre("0"));
}

TEST_F(HookRuns, ConfinedAsFarAsThatCostsNothing) {
  hook("a",
       "grep NoNewPrivs /proc/self/status; ulimit -c; umask; trap; "
       "grep SigIgn /proc/self/status");
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_THAT(run().at(0).output,
              ElementsAre("NoNewPrivs:\\x091", "0", "0077", "SigIgn:\\x090000000000000000"));
}

TEST_F(HookRuns, AsAnotherUser) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can become another user";
  }
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  settings_.user = find_hook_user("nobody").value();
  hook("a", "id -u; id -G; cat");
  const auto ended = run({.id = "i", .manifest = "{}\n"});
  EXPECT_THAT(ended.at(0).output, ElementsAre(std::to_string(settings_.user->uid),
                                              std::to_string(settings_.user->gid), "{}"));
}

TEST_F(HookRuns, AFailureCostsNothingElse) {
  hook("a", "echo why >&2; exit 3");
  hook("b", "kill -SEGV $$");
  std::ofstream(settings_.folder / "c") << "#!/does/not/exist\n";
  ::chmod((settings_.folder / "c").c_str(), 0755);
  hook("d", "echo d > " + out());
  const auto ended = run();
  ASSERT_THAT(ended, SizeIs(4));
  EXPECT_FALSE(ended[0].done || ended[1].done || ended[2].done);
  EXPECT_EQ(ended[0].how, "exit status 3");
  EXPECT_THAT(ended[0].output, ElementsAre("why"));
  EXPECT_THAT(ended[1].how, StartsWith("killed by signal 11"));
  EXPECT_EQ(ended[2].how, "exit status 127");
  EXPECT_EQ(written(), "d\n");
}

// With all that it has started.
TEST_F(HookRuns, AHookThatHangsIsKilled) {
  hook("a", "trap '' TERM INT HUP; sleep 1000 & echo $! > " + out() + "; echo begun; sleep 1000");
  hook("b", "echo b");
  settings_.limit = 3s;
  const auto ended = run();
  ASSERT_THAT(ended, SizeIs(2));
  EXPECT_FALSE(ended[0].done);
  EXPECT_EQ(ended[0].how, "killed after 3 s");
  EXPECT_THAT(ended[0].output, ElementsAre("begun"));
  EXPECT_TRUE(ended[1].done);
  EXPECT_TRUE(is_gone());
}

TEST_F(HookRuns, WhatAHookLeavesBehindIsKilled) {
  hook("a", "sleep 1000 & echo $! > " + out());
  EXPECT_TRUE(run().at(0).done);
  EXPECT_TRUE(is_gone());
}

TEST_F(HookRuns, AHookThatPrintsWithoutEnd) {
  hook("a",
       "yes \"$(printf 'line\\033[2J')\" | head -c 3000000; yes | tr -d '\\n' | head -c 3000000");
  const auto ended = run();
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_TRUE(ended[0].done);
  EXPECT_THAT(ended[0].output, SizeIs(51));
  EXPECT_EQ(ended[0].output.front(), "line\\x1b[2J");
  EXPECT_EQ(ended[0].output.back(), "(more was printed)");
}

TEST_F(HookRuns, WhichProgramsRun) {
  hook("good", "true");
  hook("group-writes", "true", 0775);
  hook("all-write", "true", 0757);
  hook("not-executable", "true", 0644);
  hook("old.dpkg-old", "true");
  hook("backup~", "true");
  hook(".hidden", "true");
  fs::create_symlink("/bin/true", settings_.folder / "link");
  fs::create_directory(settings_.folder / "folder");
  const HookPrograms found = find_hooks(settings_.folder);
  EXPECT_THAT(found.names, ElementsAre("good"));
  EXPECT_THAT(
      found.refused,
      ElementsAre(Field(&HookEnd::program, "all-write"), Field(&HookEnd::program, "folder"),
                  Field(&HookEnd::program, "group-writes"), Field(&HookEnd::program, "link"),
                  AllOf(Field(&HookEnd::program, "not-executable"),
                        Field(&HookEnd::how, HasSubstr("chmod +x")))));
  const auto ended = run();
  EXPECT_THAT(ended, SizeIs(6));  // those that do not run are told
}

TEST_F(HookRuns, AFolderOfOthers) {
  hook("a", "true");
  ASSERT_EQ(::chmod(settings_.folder.c_str(), 0777), 0);
  const auto ended = run();
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_FALSE(ended[0].done);
  EXPECT_THAT(ended[0].how, HasSubstr("others may write to it"));
}

TEST_F(HookRuns, AFileOfAnotherUser) {
  const fs::path path = hook("a", "true");
  if (::geteuid() != 0 || ::chown(path.c_str(), 12345, 0) != 0) {
    GTEST_SKIP() << "only root can give a file away";
  }
  EXPECT_THAT(find_hooks(settings_.folder).refused, SizeIs(1));
}

TEST_F(HookRuns, WithoutAFolderNothingRuns) {
  settings_.folder = folder_ / "nowhere";
  EXPECT_THAT(run(), IsEmpty());
  settings_.folder = "";
  EXPECT_THAT(run(), IsEmpty());
}

TEST_F(HookRuns, ManyCrashes) {
  hook("a", "echo $VMCORECTL_CRASH >> " + out());
  Hooks hooks = Hooks::create(settings_).value();
  for (int i = 0; i < 20; ++i) {
    hooks.start({.id = std::to_string(i), .manifest = "{}"});
  }
  EXPECT_THAT(finish(hooks), SizeIs(20));
  EXPECT_EQ(std::ranges::count(written(), '\n'), 20);
}

TEST_F(HookRuns, TooManyCrashes) {
  hook("a", "true");
  settings_.at_once = 0;
  Hooks hooks = Hooks::create(settings_).value();
  for (int i = 0; i < 1001; ++i) {
    hooks.start({.id = std::to_string(i), .manifest = "{}"});
  }
  const auto ended = hooks.step();
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(ended[0].crash, "0");
  EXPECT_FALSE(ended[0].done);
}

// Whoever remembers which crashes still have hooks to run learns of each that has not.
TEST_F(HookRuns, EachCrashIsOverOnce) {
  hook("a", "true");
  hook("b", "exit 1");
  settings_.at_once = 1;
  Hooks hooks = Hooks::create(settings_).value();
  hooks.start({.id = "1", .manifest = "{}"});
  hooks.start({.id = "2", .manifest = "{}"});
  EXPECT_THAT(hooks.over(), IsEmpty());
  finish(hooks);
  EXPECT_THAT(hooks.over(), ElementsAre("1", "2"));
  EXPECT_THAT(hooks.over(), IsEmpty());
  settings_.folder = "";
  hooks.set(settings_);
  hooks.start({.id = "3", .manifest = "{}"});
  hooks.step();
  EXPECT_THAT(hooks.over(), ElementsAre("3"));
}

TEST_F(HookRuns, WhatRunsEndsWithTheService) {
  hook("a", "echo $$ > " + out() + "; sleep 1000");
  {
    Hooks hooks = Hooks::create(settings_).value();
    hooks.start({.id = "i", .manifest = "{}"});
    EXPECT_THAT(hooks.step(), IsEmpty());
    while (written() == "nothing" || written().empty()) {
      ::usleep(1000);
    }
  }
  EXPECT_FALSE(fs::exists("/proc/" + written().substr(0, written().find('\n'))));
}

TEST(HookUsers, ThatAreNotThere) {
  EXPECT_EQ(find_hook_user("no such user").error().code, Errc::not_found);
}

}  // namespace
}  // namespace vmcore::daemon
