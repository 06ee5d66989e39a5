// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/snapshot/snapshot.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "src/acquire/qmp/snapshot.h"
#include "src/base/little_endian.h"
#include "src/base/sys.h"
#include "tests/fakes/fake_qemu.h"

namespace vmcore::acquire {
namespace {

using fakes::event;
using fakes::FakeQemu;
using qmp::Json;

constexpr std::uint64_t kLimit = 134217728;  // QEMU's own default
constexpr std::uint64_t kOurs = 1ULL << 62;

constexpr std::string_view kMap =
    R"("FlatView #1\r\n AS \"memory\", root: system\r\n  0000000000000000-0000000000ffffff (prio 0, ram): ram0\r\n")";
constexpr std::string_view kBlocks =
    R"("  ram0    4 KiB  0x0000000000000000 0x0000000001000000 0x0000000001000000\r\n")";

std::string refusal(std::string_view text) {
  return fmt::format(R"({{"error": {{"class": "GenericError", "desc": "{}"}}}})", text);
}

// A QEMU with a migration of its own. A test changes what matters to it.
struct Script {
  std::set<std::string> on = {};  // capabilities
  std::uint64_t limit = kLimit;
  std::string tls = "";
  bool knows = true;  // of background-snapshot
  std::string blocked = "";
  std::string status = "running";
  std::string refuses = "";  // a command
  std::string refusal = "no";
  std::string ends = "completed";  // the migration
  bool stays_stopped = false;
  bool meddled = false;  // somebody else switches the capability off
  int looks = 2;         // until the migration is over
  bool by_name = false;  // it takes files by name, and no others (QEMU 11.0)
};

class SnapshotTest : public testing::Test {
 protected:
  SnapshotTest() {
    std::string path = (std::filesystem::temp_directory_path() / "snapshot-XXXXXX").string();
    folder_ = ::mkdtemp(path.data());
    place_ = {.memory = 0, .folder = folder_, .folder_allowed = true};
  }
  ~SnapshotTest() override { std::filesystem::remove_all(folder_); }
  void TearDown() override { guest_.reset(); }

  void open(Script script) {
    script_ = std::move(script);
    std::map<std::string, FakeQemu::Answer> answers;
    const auto answer = [&](const std::string& name, auto make) {
      answers[name] = [this, name, make](const Json& arguments, std::vector<Fd>& fds) {
        heard_.push_back(name);
        return script_.refuses == name ? refusal(script_.refusal)
                                       : std::string(make(arguments, fds));
      };
    };
    answer("query-name", [](const Json&, auto&) { return R"({"name": "vm1"})"; });
    answer("query-status", [this](const Json&, auto&) {
      return fmt::format(R"({{"status": "{}", "running": {}}})", script_.status,
                         script_.status == "running");
    });
    answer("query-dump", [](const Json&, auto&) { return R"({"status": "failed"})"; });
    answer("query-migrate", [this](const Json&, auto&) { return migration(); });
    answer("query-migrate-capabilities", [this](const Json&, auto&) { return capabilities(); });
    answer("query-migrate-parameters", [this](const Json&, auto&) {
      return fmt::format(R"({{"max-bandwidth": {}, "tls-creds": "{}"}})", script_.limit,
                         script_.tls);
    });
    answer("migrate-set-parameters", [this](const Json& arguments, auto&) {
      script_.limit = arguments.at("max-bandwidth");
      return "{}";
    });
    answer("migrate-set-capabilities", [this](const Json& arguments, auto&) {
      for (const Json& entry : arguments.at("capabilities")) {
        const std::string name = entry.at("capability");
        script_.on.erase(name);
        if (entry.at("state")) {
          script_.on.insert(name);
        }
      }
      return "{}";
    });
    answer("human-monitor-command", [](const Json& arguments, auto&) {
      return arguments.at("command-line") == "info mtree -f" ? kMap : kBlocks;
    });
    answer("query-memdev", [](const Json&, auto&) {
      return R"([{"size": 1073741824, "share": true}, {"size": 4096, "share": false},
                 {"size": 1048576, "share": true}, {"size": -1, "share": true}])";
    });
    answer("query-cpus-fast", [](const Json&, auto&) { return "[]"; });
    answer("getfd", [this](const Json&, auto& fds) {
      target_ = std::move(fds.back());
      fds.clear();
      return "{}";
    });
    answer("closefd", [this](const Json&, auto&) {
      target_.reset();
      return "{}";
    });
    answer("remove-fd", [this](const Json& arguments, auto&) {
      sets_.erase(arguments.at("fdset-id").get<unsigned>());
      return "{}";
    });
    answer("add-fd", [this](const Json& arguments, auto& fds) {
      const auto set = arguments.at("fdset-id").get<unsigned>();
      EXPECT_FALSE(sets_.contains(set));
      sets_[set] = std::move(fds.back());
      fds.clear();
      return fmt::format(R"({{"fdset-id": {}, "fd": 9}})", set);
    });
    answer("cont", [this](const Json&, auto&) {
      script_.status = "running";
      return "{}";
    });
    answer("dump-guest-memory", [this](const Json& arguments, auto&) {
      dump(arguments.contains("length"));
      return "{}";
    });
    answer("migrate_cancel", [this](const Json&, auto&) {
      script_.ends = "cancelled";
      return "{}";
    });
    answer("migrate", [this](const Json& arguments, auto&) {
      if (script_.meddled) {
        script_.on.clear();
      }
      uri_ = arguments.at("uri");
      if (script_.by_name && !open_by_name()) {
        target_.reset();
        return refusal("fd: migration to a file is not supported. Use file: instead.");
      }
      during_ = {script_.on, script_.limit};
      migrate();
      return std::string("{}");
    });
    qemu_.serve(std::move(answers));
    auto monitor = qmp::Client::open(qemu_.client_end(), {.events = QmpGuest::events()});
    ASSERT_TRUE(monitor) << monitor.error().message;
    auto guest = QmpSnapshotGuest::make(std::make_shared<qmp::Client>(*std::move(monitor)), place_);
    ASSERT_TRUE(guest) << guest.error().message;
    guest_ = *std::move(guest);
  }

  void dump(bool range) {
    const Fd target = std::move(target_);
    Elf64_Ehdr header{};
    std::string bytes(sizeof header, '\0');
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes += range ? std::string(4096, 'm') : "";
    EXPECT_TRUE(sys::write_full(target.get(), std::as_bytes(std::span(bytes))));
    qemu_.say(event("STOP", 1000) + event("RESUME", 1500));
  }
  // QEMU monitor/fds.c, monitor_fdset_dup_fd_add, and migration/file.c, v11.0.
  bool open_by_name() {
    constexpr std::string_view kPrefix = "file:/dev/fdset/";
    if (!uri_.starts_with(kPrefix)) {
      return false;
    }
    const Fd& file = sets_.at(static_cast<unsigned>(std::stoul(uri_.substr(kPrefix.size()))));
    EXPECT_EQ(::fcntl(file.get(), F_GETFL) & O_ACCMODE, O_WRONLY);
    EXPECT_EQ(::ftruncate(file.get(), 0), 0);
    target_ = *duplicate(file.get());
    return true;
  }
  void migrate() {
    const Fd target = std::move(target_);
    EXPECT_TRUE(sys::write_full(target.get(), std::as_bytes(std::span(std::string_view("QEVM")))));
    migrating_ = true;
    qemu_.say(event("STOP", 10'000));
    if (script_.stays_stopped) {
      script_.status = "paused";
    } else {
      qemu_.say(event("RESUME", 14'000));
    }
  }
  std::string migration() {
    if (!script_.blocked.empty()) {
      return fmt::format(R"({{"blocked-reasons": ["{}"]}})", script_.blocked);
    }
    if (!migrating_) {
      return "{}";
    }
    return script_.looks-- > 0
               ? R"({"status": "active"})"
               : fmt::format(R"({{"status": "{}", "error-desc": "why"}})", script_.ends);
  }
  std::string capabilities() const {
    Json list = Json::array();
    for (const char* name : {"xbzrle", "events", "background-snapshot"}) {
      if (script_.knows || std::string_view(name) != "background-snapshot") {
        list.push_back({{"capability", name}, {"state", script_.on.contains(name)}});
      }
    }
    if (script_.by_name) {
      list.push_back({{"capability", "mapped-ram"}, {"state", false}});
    }
    return list.dump();
  }
  bool was_heard(const std::string& name) const { return std::ranges::count(heard_, name) != 0; }

  Error refused(Script script) {
    open(std::move(script));
    const std::set<std::string> before = script_.on;
    const auto acquired = guest_->acquire({"running", true}, {});
    EXPECT_FALSE(acquired);
    EXPECT_EQ(script_.on, before);
    EXPECT_EQ(script_.limit, kLimit);
    EXPECT_TRUE(std::filesystem::is_empty(folder_));
    return acquired ? Error{Errc::cancelled, ""} : acquired.error();
  }

  void expect_room(Script script) {
    open(std::move(script));
    const auto acquired = guest_->acquire({"running", true}, {});
    ASSERT_TRUE(acquired) << acquired.error().message;
    EXPECT_GE(allocated(acquired->source), 16U << 20);
    ASSERT_TRUE(acquired->lease->end());
    EXPECT_LT(allocated(acquired->source), 1U << 20);
  }
  static std::uint64_t allocated(const Fd& file) {
    struct stat status {};
    EXPECT_EQ(::fstat(file.get(), &status), 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  }

  FakeQemu qemu_;
  Script script_;
  std::filesystem::path folder_;
  SpoolPlace place_;
  std::vector<std::string> heard_;
  Fd target_;
  std::map<unsigned, Fd> sets_;
  bool migrating_ = false;
  std::string uri_;
  std::pair<std::set<std::string>, std::uint64_t> during_;
  std::unique_ptr<QmpSnapshotGuest> guest_;
};

TEST_F(SnapshotTest, BringsAFileAndLeavesQemuAsItWas) {
  open({.on = {"events"}});
  EXPECT_TRUE(guest_->needs_spool({"running", true}));
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  EXPECT_TRUE(std::holds_alternative<sandbox::SnapshotInput>(acquired->input));
  EXPECT_EQ(uri_, "fd:vmcorectl-snapshot");
  EXPECT_EQ(during_.first, (std::set<std::string>{"background-snapshot", "events"}));
  EXPECT_EQ(during_.second, kOurs + kLimit);
  EXPECT_EQ(std::get<sandbox::SnapshotInput>(acquired->input).places,
            (std::vector<sandbox::BlockPlace>{{{{0}, 0x1000000}, "ram0", 0}}));
  EXPECT_EQ(*sys::file_size(acquired->header.get()), sizeof(Elf64_Ehdr));
  EXPECT_FALSE(*acquired->lease->over());
  const auto pause = acquired->lease->end();
  ASSERT_TRUE(pause) << pause.error().message;
  EXPECT_EQ(pause->count(), 500 + 500 + 4000);  // two small dumps, and the snapshot
  EXPECT_EQ(script_.on, std::set<std::string>{"events"});
  EXPECT_EQ(script_.limit, kLimit);
  EXPECT_FALSE(was_heard("cont"));
  // Only what QEMU wrote last, from the beginning of the file.
  std::string text(16, '\0');
  const auto got =
      sys::pread_full(acquired->source.get(), std::as_writable_bytes(std::span(text)), 0);
  EXPECT_EQ(text.substr(0, *got), "QEVM");
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(SnapshotTest, BringsAFileByNameWhereQemuTakesNoOther) {
  open({.by_name = true});
  script_.looks = 0;
  const auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  EXPECT_TRUE(uri_.starts_with("file:/dev/fdset/"));
  EXPECT_TRUE(sets_.empty());
  ASSERT_TRUE(acquired->lease->end());
  EXPECT_EQ(*sys::file_size(acquired->source.get()), 4U);
  EXPECT_EQ(script_.limit, kLimit);
}

// Room for all of the stream, although the file was truncated after QEMU was tried with it.
TEST_F(SnapshotTest, ReservesRoomUntilTheEnd) { expect_room({}); }
TEST_F(SnapshotTest, ReservesRoomAgainWhenQemuHasOpenedTheFile) { expect_room({.by_name = true}); }

// It panicked, or somebody paused it, while the snapshot was prepared.
TEST_F(SnapshotTest, RefusesAGuestThatStoppedMeanwhile) {
  EXPECT_EQ(refused({.status = "guest-panicked"}).code, Errc::guest_state);
  EXPECT_FALSE(was_heard("migrate"));
  EXPECT_FALSE(was_heard("cont"));
}

TEST_F(SnapshotTest, AFailedOneDoesNotResumeWhatSomebodyElseStopped) {
  open({.ends = "failed"});
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  EXPECT_FALSE(*acquired->lease->over());  // it runs again by then
  script_.status = "paused";
  EXPECT_FALSE(acquired->lease->end());
  EXPECT_FALSE(was_heard("cont"));
  EXPECT_EQ(script_.limit, kLimit);
}

TEST_F(SnapshotTest, AFailedOneIsResumedAlsoWhereNothingCanBeUndone) {
  open({.ends = "failed", .stays_stopped = true});
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  script_.refuses = "migrate-set-capabilities";
  EXPECT_FALSE(acquired->lease->end());
  EXPECT_TRUE(was_heard("cont"));
}

TEST_F(SnapshotTest, RefusesAGuestThatStandsStill) {
  open({});
  const auto acquired = guest_->acquire({"paused", false}, {});
  ASSERT_FALSE(acquired);
  EXPECT_EQ(acquired.error().code, Errc::guest_state);
  EXPECT_EQ(heard_, std::vector<std::string>{"query-name"});
}

TEST_F(SnapshotTest, RefusesOtherCapabilities) {
  const Error error = refused({.on = {"xbzrle", "events"}});
  EXPECT_EQ(error.code, Errc::busy);
  EXPECT_NE(error.message.find("xbzrle"), std::string::npos);
  EXPECT_FALSE(was_heard("dump-guest-memory"));
}

TEST_F(SnapshotTest, RefusesSomebodyElsesSnapshot) {
  EXPECT_EQ(refused({.on = {"background-snapshot"}}).code, Errc::busy);
}

TEST_F(SnapshotTest, RefusesAnOldQemu) {
  EXPECT_EQ(refused({.knows = false}).code, Errc::unsupported);
}

TEST_F(SnapshotTest, RefusesEncryption) { EXPECT_EQ(refused({.tls = "tls0"}).code, Errc::busy); }

TEST_F(SnapshotTest, RefusesWhatCannotMigrate) {
  const Error error = refused({.blocked = "VFIO device"});
  EXPECT_EQ(error.code, Errc::unsupported);
  EXPECT_NE(error.message.find("VFIO device"), std::string::npos);
}

TEST_F(SnapshotTest, SaysWhatAHostLacks) {
  const Error error = refused({.refuses = "migrate-set-capabilities",
                               .refusal = "Background-snapshot is not supported by host kernel"});
  EXPECT_EQ(error.code, Errc::unsupported);
  EXPECT_NE(error.message.find("vm.unprivileged_userfaultfd"), std::string::npos);
  EXPECT_FALSE(was_heard("dump-guest-memory"));
}

TEST_F(SnapshotTest, StartsNothingWhereQemuCannotWrite) {
  EXPECT_NE(refused({.refuses = "dump-guest-memory"}).message.find("spool"), std::string::npos);
  EXPECT_FALSE(was_heard("migrate"));
}

TEST_F(SnapshotTest, UndoesWhatItSetWhereQemuRefuses) {
  EXPECT_EQ(refused({.refuses = "migrate"}).message, "migrate: no");
}

TEST_F(SnapshotTest, CancelsWhatIsNoSnapshot) {
  EXPECT_EQ(refused({.meddled = true}).code, Errc::busy);
  EXPECT_TRUE(was_heard("migrate_cancel"));
}

TEST_F(SnapshotTest, UndoesWhatItSetWhereTheSnapshotFails) {
  open({.ends = "failed", .stays_stopped = true});
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  const auto pause = acquired->lease->end();
  ASSERT_FALSE(pause);
  EXPECT_NE(pause.error().message.find("why"), std::string::npos);
  EXPECT_TRUE(was_heard("cont"));
  EXPECT_TRUE(script_.on.empty());
  EXPECT_EQ(script_.limit, kLimit);
}

TEST_F(SnapshotTest, DoesNotResumeAGuestThatSomebodyElsePaused) {
  open({});
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  script_.status = "paused";
  EXPECT_TRUE(acquired->lease->end());
  EXPECT_FALSE(was_heard("cont"));
}

TEST_F(SnapshotTest, NoticesThatQemuDies) {
  open({.looks = 1'000'000});
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  qemu_.hang_up();
  EXPECT_EQ(acquired->lease->end().error().code, Errc::guest_state);
}

TEST_F(SnapshotTest, NeedsRoomForTheWholeStream) {
  place_.folder = "/proc";  // a file system without room
  open({});
  EXPECT_FALSE(guest_->acquire({"running", true}, {}));
  EXPECT_EQ(script_.limit, kLimit);
  EXPECT_FALSE(was_heard("migrate-set-capabilities"));
}

// 16 MiB of RAM with 7 % and 128 MiB beside it, and 1025 MiB of shared memory that is not visible.
constexpr std::uint64_t kEnough = 1200U << 20;

TEST_F(SnapshotTest, GoesIntoMemoryWhereThereIsEnough) {
  place_ = {.memory = kEnough, .folder = "/nowhere", .folder_allowed = false};
  expect_room({});
}

TEST_F(SnapshotTest, NeedsLeaveForADiskWhereMemoryIsShort) {
  place_ = {.memory = kEnough / 2, .folder = folder_, .folder_allowed = false};
  const Error error = refused({});
  EXPECT_EQ(error.code, Errc::limit);
  EXPECT_NE(error.message.find("--allow-unbounded-pause"), std::string::npos);
  EXPECT_FALSE(was_heard("migrate-set-capabilities"));
}

TEST_F(SnapshotTest, TellsWhatTheHostHasToAllocate) {
  open({});
  EXPECT_EQ(*guest_->growth(), (1ULL << 30) + (1ULL << 20));  // the process is not to be seen
}

TEST_F(SnapshotTest, MendsWhatAKilledOneLeft) {
  open({.on = {"background-snapshot", "events"}, .limit = kOurs + 5});
  const auto remarks = guest_->mend();
  ASSERT_TRUE(remarks) << remarks.error().message;
  EXPECT_EQ(remarks->size(), 1U);
  EXPECT_EQ(script_.on, std::set<std::string>{"events"});
  EXPECT_EQ(script_.limit, 5U);
}

TEST_F(SnapshotTest, KnowsItsOwnBesideLibvirtsLargestLimit) {
  constexpr std::uint64_t kLargest = 0x7ffffffffff00000;
  open({.limit = kLargest, .looks = 0});
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  EXPECT_GT(during_.second, kLargest);
  EXPECT_EQ(guest_->mend()->size(), 1U);  // as the next one would
  EXPECT_EQ(script_.limit, kLargest);
  EXPECT_TRUE(script_.on.empty());
}

TEST_F(SnapshotTest, LeavesAloneWhatIsNotItsOwn) {
  open({.on = {"background-snapshot"}, .limit = 0x7ffffffffff00000});
  EXPECT_TRUE(guest_->mend()->empty());
  EXPECT_FALSE(was_heard("migrate-set-capabilities"));
  EXPECT_FALSE(was_heard("migrate-set-parameters"));
}

}  // namespace
}  // namespace vmcore::acquire
