// SPDX-License-Identifier: GPL-2.0-or-later
// The store on disk: what is committed, what is left by programs that ended, and who may remove.
#include "src/vault/vault.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <random>
#include <thread>

#include "src/seal/sha256.h"
#include "src/staging/staged_folder.h"
#include "tests/fakes/faulty_sys.h"

namespace vmcore::vault {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::uint64_t kTime = 1'796'593'500;

// A reader that takes each file "vmcore" that begins with "dump".
Result<> describe(report::Manifest& manifest, const std::string& folder) {
  std::ifstream file(folder + "/vmcore");
  if (!file) {
    return {};
  }
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!text.starts_with("dump")) {
    return fail(Errc::not_recognised, "it is no dump");
  }
  manifest.dump = report::StoredDump{.file = "vmcore", .release = "6.12"};
  manifest.complete = true;
  return {};
}

report::Manifest about(const std::string& guest, std::uint64_t time = kTime) {
  return {.time = time,
          .reason = "panic",
          .capture = {.guest = {.name = guest, .host = "host1"}},
          .signature = {.exact = "s"},
          .tool = "test"};
}

class Vaults : public ::testing::Test {
 protected:
  Vaults() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    root_ = ::mkdtemp(folder);
    path_ = root_ + "/store";
  }
  ~Vaults() override {
    fakes::no_faults();
    fs::remove_all(root_);
  }

  Vault vault() { return Vault::open_to_write(path_).value(); }

  static void fill(const Draft& draft, const std::string& name, const std::string& text) {
    std::ofstream(draft.path() + "/" + name) << text;
  }
  std::string keep(const Vault& vault, const std::string& guest, std::uint64_t time = kTime) {
    auto draft = vault.begin(0);
    EXPECT_TRUE(draft) << draft.error().message;
    fill(*draft, "vmcore", "dump of " + guest);
    const auto kept = draft->commit(about(guest, time), describe);
    EXPECT_TRUE(kept) << kept.error().message;
    return kept->id;
  }
  static std::vector<std::string> ids(const Vault& vault) {
    std::vector<std::string> ids;
    const auto crashes = vault.list().value();
    std::ranges::transform(crashes, std::back_inserter(ids), &report::ListedCrash::id);
    return ids;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_)) {
      names.push_back(entry.path().filename());
    }
    std::erase(names, ".reserve");  // room for flash reports
    std::ranges::sort(names);
    return names;
  }
  static mode_t mode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 0777U;
  }

  std::string root_;
  std::string path_;
};

TEST_F(Vaults, KeepACrashAsAWhole) {
  const Vault vault = this->vault();
  std::optional<Draft> draft(vault.begin(1U << 20).value());
  fill(*draft, "vmcore", "dump");
  fill(*draft, "vmcore-dmesg.txt", "log");
  EXPECT_THAT(ids(vault), IsEmpty());
  EXPECT_EQ(mode(draft->path()), 0700U);
  const auto kept = draft->commit(about("vm1"), describe);
  draft.reset();
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(kept->id, "20261206T214500Z-host1-vm1-000001");

  const auto crashes = vault.list().value();
  ASSERT_EQ(crashes.size(), 1U);
  EXPECT_EQ(crashes[0].damage, "");
  const report::Manifest& manifest = crashes[0].manifest.value();
  EXPECT_EQ(manifest.id, kept->id);
  EXPECT_EQ(manifest.number, 1U);
  EXPECT_TRUE(manifest.verified);
  EXPECT_TRUE(manifest.complete);
  EXPECT_THAT(manifest.files,
              ElementsAre(report::StoredFile{"vmcore", 4, seal::sha256("dump")},
                          report::StoredFile{"vmcore-dmesg.txt", 3, seal::sha256("log")}));
  EXPECT_EQ(mode(kept->path), 0750U);
  EXPECT_EQ(mode(kept->path + "/manifest.json"), 0640U);
  EXPECT_EQ(mode(kept->path + "/lock"), 0600U);
  EXPECT_FALSE(fs::exists(kept->path + "/.room"));
}

TEST_F(Vaults, ADraftThatIsNotCommittedLeavesNothing) {
  const Vault vault = this->vault();
  {
    const auto draft = vault.begin(0);
    ASSERT_TRUE(draft);
    fill(*draft, "vmcore", "dump");
  }
  EXPECT_THAT(names(), ElementsAre("lock"));
}

TEST_F(Vaults, ADumpThatCannotBeOpenedIsKeptAndMarked) {
  const Vault vault = this->vault();
  auto draft = vault.begin(0);
  fill(*draft, "vmcore", "rubbish");
  report::Manifest manifest = about("vm1");
  manifest.complete = true;
  const auto kept = draft->commit(manifest, describe);
  ASSERT_TRUE(kept);
  EXPECT_FALSE(kept->manifest.verified);
  EXPECT_FALSE(kept->manifest.complete);
  EXPECT_THAT(kept->manifest.remarks.at(0).text, HasSubstr("could not be opened: it is no dump"));
}

TEST_F(Vaults, NumbersRiseWhateverTheClockDoes) {
  const Vault vault = this->vault();
  const std::string first = keep(vault, "vm1");
  const std::string second = keep(vault, "vm1", kTime - 86'400);
  const std::string third = keep(vault, "vm1");
  EXPECT_THAT(ids(vault), ElementsAre(first, second, third));
  EXPECT_EQ(vault.find("-1").value(), third);
  EXPECT_EQ(vault.find("-2").value(), second);
  EXPECT_EQ(vault.find("-3").value(), first);
  EXPECT_EQ(vault.find("-4").error().code, Errc::not_found);
}

TEST_F(Vaults, FindIdsAndTheirBeginnings) {
  const Vault vault = this->vault();
  const std::string one = keep(vault, "vm1");
  const std::string other = keep(vault, "vm2", kTime + 1);
  EXPECT_EQ(vault.find(one).value(), one);
  EXPECT_EQ(vault.find("20261206T214501").value(), other);
  EXPECT_EQ(vault.find("20261206T").error().code, Errc::invalid);
  for (const char* const word : {"2", "20261206", "vm1", "-0", "-", "", "../store", "lock"}) {
    EXPECT_EQ(vault.find(word).error().code, Errc::not_found) << word;
  }
}

TEST_F(Vaults, DamageIsShownAndHarmsNothing) {
  const Vault vault = this->vault();
  const std::string whole = keep(vault, "vm1");
  const std::string no_manifest = keep(vault, "vm1");
  const std::string bad_manifest = keep(vault, "vm1");
  const std::string other_manifest = keep(vault, "vm1");
  const std::string short_file = keep(vault, "vm1");
  const std::string no_file = keep(vault, "vm1");
  const std::string linked_file = keep(vault, "vm1");
  const auto file = [&](const std::string& id, const char* name) {
    return fs::path(path_) / id / name;
  };
  fs::remove(file(no_manifest, "manifest.json"));
  fs::resize_file(file(bad_manifest, "manifest.json"), 100);
  fs::copy_file(file(whole, "manifest.json"), file(other_manifest, "manifest.json"),
                fs::copy_options::overwrite_existing);
  fs::resize_file(file(short_file, "vmcore"), 2);
  fs::remove(file(no_file, "vmcore"));
  fs::remove(file(linked_file, "vmcore"));
  fs::create_symlink("/etc/passwd", file(linked_file, "vmcore"));
  fs::create_symlink("/etc", fs::path(path_) / "20261206T214500Z-host1-vm1-000099");
  std::ofstream(fs::path(path_) / "20261206T214500Z-host1-vm1-000100") << "no folder";

  const auto crashes = vault.list().value();
  std::vector<std::string> damages;
  std::ranges::transform(crashes, std::back_inserter(damages), &report::ListedCrash::damage);
  EXPECT_THAT(damages, ElementsAre("", HasSubstr("manifest.json"), HasSubstr("manifest.json"),
                                   HasSubstr("another crash"), HasSubstr("has 2 bytes, and had 11"),
                                   HasSubstr("vmcore is missing"), HasSubstr("vmcore is missing"),
                                   HasSubstr("is not a folder"), HasSubstr("is not a folder")));
  // They can go.
  EXPECT_TRUE(vault.remove(no_manifest));
  EXPECT_TRUE(vault.remove(bad_manifest));
}

TEST_F(Vaults, HeldOnesStay) {
  const Vault vault = this->vault();
  const std::string id = keep(vault, "vm1");
  keep(vault, "vm1");
  ASSERT_TRUE(vault.set_held(id, true));
  EXPECT_TRUE(vault.list().value()[0].state.held);
  EXPECT_EQ(mode(path_ + "/" + id + "/state.json"), 0640U);
  EXPECT_EQ(vault.remove(id).error().code, Errc::denied);
  EXPECT_THAT(vault.prune({.count = 0}, {}, kTime, false).value().removed, IsEmpty());
  ASSERT_TRUE(vault.set_held(id, false));
  EXPECT_TRUE(vault.remove(id));
}

TEST_F(Vaults, AStateThatCannotBeReadHolds) {
  const Vault vault = this->vault();
  const std::string id = keep(vault, "vm1");
  std::ofstream(path_ + "/" + id + "/state.json") << "{";
  EXPECT_THAT(vault.list().value()[0].damage, HasSubstr("state.json"));
  EXPECT_EQ(vault.remove(id).error().code, Errc::denied);
  ASSERT_TRUE(vault.set_held(id, false));
  EXPECT_TRUE(vault.remove(id));
}

TEST_F(Vaults, ThePolicysOutcomeIsAdded) {
  const Vault vault = this->vault();
  const std::string id = keep(vault, "vm1");
  ASSERT_TRUE(vault.set_held(id, true));
  ASSERT_TRUE(vault.set_policy(id, {.action = "restart", .done = true}));
  const auto crashes = vault.list().value();
  EXPECT_EQ(crashes[0].state.policy->action, "restart");
  EXPECT_TRUE(crashes[0].state.held);
}

TEST_F(Vaults, ASelfCheckComesIntoTheManifestAndChangesNothingElse) {
  const Vault vault = this->vault();
  const std::string id = keep(vault, "vm1");
  const report::Manifest before = vault.listed(id).manifest.value();
  ASSERT_TRUE(vault.set_self_check(id, {{{.with = "crash 8.0.6", .outcome = "failed"}}}));
  std::ofstream(path_ + "/" + id + "/result.txt") << "of a script";
  const report::ListedCrash after = vault.listed(id);
  EXPECT_EQ(after.damage, "");
  ASSERT_TRUE(after.manifest->self_check);
  EXPECT_FALSE(after.manifest->self_check->passed());
  EXPECT_EQ(mode(path_ + "/" + id + "/manifest.json"), 0640U);
  report::Manifest same = *after.manifest;
  same.self_check = {};
  EXPECT_EQ(report::to_json(same), report::to_json(before));
  EXPECT_FALSE(vault.set_self_check("20261206T214500Z-nobody-000009", {}));
}

TEST_F(Vaults, OneThatIsReadStays) {
  const Vault vault = this->vault();
  const std::string id = keep(vault, "vm1");
  keep(vault, "vm1");
  {
    const auto open = vault.open_crash(id);
    ASSERT_TRUE(open) << open.error().message;
    EXPECT_EQ(open->path, path_ + "/" + id);
    EXPECT_EQ(vault.remove(id).error().code, Errc::busy);
  }
  EXPECT_TRUE(vault.remove(id));
  EXPECT_EQ(vault.open_crash(id).error().code, Errc::not_found);
}

// crash and drgn know nothing of our locks.
TEST_F(Vaults, OneThatAnotherProgramHasOpenStays) {
  const Vault vault = this->vault();
  const std::string id = keep(vault, "vm1");
  keep(vault, "vm1");
  {
    const Fd reader(::open((path_ + "/" + id + "/vmcore").c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(reader);
    if (vault.remove(id)) {
      GTEST_SKIP() << "no leases on this file system";
    }
    EXPECT_EQ(vault.remove(id).error().code, Errc::busy);
    EXPECT_THAT(vault.prune({.count = 0}, {}, kTime, false).value().removed, IsEmpty());
  }
  EXPECT_EQ(vault.prune({.count = 0}, {}, kTime, false).value().removed.size(), 1U);
}

TEST_F(Vaults, PruneMakesRoom) {
  const Vault vault = this->vault();
  const std::string first = keep(vault, "vm1");
  const std::string second = keep(vault, "vm1");
  const std::string third = keep(vault, "vm1");
  const auto tried = vault.prune({.count = 2}, {}, kTime, true).value();
  ASSERT_EQ(tried.removed.size(), 1U);
  EXPECT_EQ(ids(vault).size(), 3U);
  const auto pruned = vault.prune({.count = 2}, {}, kTime, false).value();
  ASSERT_EQ(pruned.removed.size(), 1U);
  EXPECT_EQ(pruned.removed[0].id, second);
  EXPECT_THAT(ids(vault), ElementsAre(first, third));
  EXPECT_THAT(names(), ElementsAre(first, third, "lock"));

  const auto vain =
      vault.prune({.bytes = 1U << 20}, Wanted{2U << 20, {"vm1"}}, kTime, false).value();
  EXPECT_THAT(vain.removed, IsEmpty());
  EXPECT_NE(vain.exceeded, "");
}

TEST_F(Vaults, DumpsThatAreBeingWrittenCountByTheirEstimate) {
  const Vault vault = this->vault();
  keep(vault, "vm1");
  const auto draft = vault.begin(1U << 30);
  ASSERT_TRUE(draft);
  EXPECT_NE(vault.prune({.bytes = 1U << 29}, {}, kTime, true).value().exceeded, "");
}

TEST_F(Vaults, EstimatesComeFromEarlierDumps) {
  const Vault vault = this->vault();
  const std::uint64_t usual = vault.estimate_for({"vm1"}).value();
  EXPECT_GT(usual, 0U);
  keep(vault, "vm1");
  EXPECT_LT(vault.estimate_for({"vm1"}).value(), usual);
  EXPECT_EQ(vault.estimate_for({"vm2"}).value(), usual);
}

// What a program leaves that kills itself in `work`: its draft, and no lock.
void be_killed(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();  // its drafts would go with its end
  }
  ASSERT_GT(child, 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST_F(Vaults, RecoverCompletesWhatWasWorthIt) {
  const Vault vault = this->vault();
  be_killed([&] {
    auto draft = vault.begin(0);
    fill(*draft, "vmcore", "dump");
    static_cast<void>(draft->checkpoint(about("vm1")));
    ::raise(SIGKILL);
  });
  be_killed([&] {
    auto draft = vault.begin(0);
    fill(*draft, "vmcore", "dump");  // and no manifest
    ::raise(SIGKILL);
  });
  be_killed([&] {
    auto draft = vault.begin(0);
    static_cast<void>(draft->checkpoint(about("vm1")));
    ::raise(SIGKILL);
  });
  be_killed([&] {
    const auto draft = vault.begin(0);
    ::raise(SIGKILL);
  });
  EXPECT_THAT(ids(vault), IsEmpty());
  const auto recovered = vault.recover(describe).value();
  EXPECT_EQ(recovered.completed.size(), 2U);
  EXPECT_EQ(recovered.cleared, 2U);
  EXPECT_THAT(recovered.failed, IsEmpty());
  const auto crashes = vault.list().value();
  ASSERT_EQ(crashes.size(), 2U);
  for (const report::ListedCrash& crash : crashes) {
    EXPECT_EQ(crash.damage, "");
    EXPECT_TRUE(crash.manifest->verified);
    EXPECT_THAT(crash.manifest->remarks.back().text, HasSubstr("ended before it was committed"));
  }
  EXPECT_EQ(names().size(), 3U);  // and the lock
}

TEST_F(Vaults, RecoverLeavesLiveDraftsAlone) {
  const Vault vault = this->vault();
  auto draft = vault.begin(0);
  fill(*draft, "vmcore", "dump");
  const auto recovered = vault.recover(describe).value();
  EXPECT_THAT(recovered.completed, IsEmpty());
  EXPECT_EQ(recovered.cleared, 0U);
  EXPECT_THAT(recovered.failed, IsEmpty());
  EXPECT_TRUE(draft->commit(about("vm1"), describe));
}

TEST_F(Vaults, RecoverFinishesRemovals) {
  const Vault vault = this->vault();
  const std::string id = keep(vault, "vm1");
  fs::rename(path_ + "/" + id, path_ + "/.gone-" + id);
  EXPECT_THAT(ids(vault), IsEmpty());
  EXPECT_EQ(vault.recover(describe).value().cleared, 1U);
  EXPECT_THAT(names(), ElementsAre("lock"));
}

TEST_F(Vaults, AManifestThatCannotBeWrittenLosesNoDump) {
  const Vault vault = this->vault();
  {
    auto draft = vault.begin(0);
    fill(*draft, "vmcore", "dump");
    fakes::faults.writes_left = 0;
    const auto kept = draft->commit(about("vm1"), describe);
    fakes::no_faults();
    ASSERT_FALSE(kept);
    EXPECT_EQ(kept.error().code, Errc::no_space);
    EXPECT_THAT(kept.error().message, HasSubstr("stays in " + path_ + "/.new-"));
  }
  EXPECT_THAT(ids(vault), IsEmpty());
  EXPECT_EQ(vault.recover(describe).value().completed.size(), 1U);
  EXPECT_EQ(ids(vault).size(), 1U);
}

TEST_F(Vaults, ASyncThatFailsGivesNoName) {
  for (int syncs = 0; syncs < 6; ++syncs) {
    const Vault vault = this->vault();
    auto draft = vault.begin(0);
    fill(*draft, "vmcore", "dump");
    fakes::faults.syncs_left = syncs;
    const auto kept = draft->commit(about("vm1"), describe);
    fakes::no_faults();
    EXPECT_FALSE(kept) << syncs;
    EXPECT_THAT(ids(vault), IsEmpty()) << syncs;
  }
}

TEST_F(Vaults, TwoWritersAtOnce) {
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([this, i] {
      const Vault vault = this->vault();
      for (int n = 0; n < 10; ++n) {
        keep(vault, fmt::format("vm{}", i));
      }
    });
  }
  for (std::thread& writer : writers) {
    writer.join();
  }
  const auto crashes = vault().list().value();
  ASSERT_EQ(crashes.size(), 40U);
  for (std::size_t i = 0; i < crashes.size(); ++i) {
    EXPECT_EQ(crashes[i].manifest->number, i + 1);
  }
}

// Whenever a writer dies: what was committed is there, and nothing else is listed.
TEST_F(Vaults, WritersThatAreKilledAtAnyMoment) {
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    const Vault vault = this->vault();
    const std::size_t before = ids(vault).size();
    int pipes[2];
    ASSERT_EQ(::pipe(pipes), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) {
        auto draft = vault.begin(0);
        fill(*draft, "vmcore", "dump" + std::string(5000, 'x'));
        static_cast<void>(draft->commit(about("vm1"), describe));
        if (::write(pipes[1], "k", 1) != 1) {
          ::_exit(1);
        }
      }
    }
    ::close(pipes[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    std::size_t told = 0;
    for (char one = 0; ::read(pipes[0], &one, 1) == 1;) {
      ++told;
    }
    ::close(pipes[0]);
    const auto crashes = vault.list().value();
    EXPECT_GE(crashes.size(), before + told);
    EXPECT_LE(crashes.size(), before + told + 1);
    for (const report::ListedCrash& crash : crashes) {
      EXPECT_EQ(crash.damage, "") << crash.id;
    }
    EXPECT_THAT(vault.recover(describe).value().failed, IsEmpty());
    for (const std::string& name : names()) {
      EXPECT_FALSE(name.starts_with(".")) << name;
    }
  }
}

TEST_F(Vaults, GuestsChooseNoPaths) {
  const Vault vault = this->vault();
  const std::string id = keep(vault, "../../../tmp/evil\n");
  EXPECT_THAT(id, EndsWith("-.._.._.._tmp_evil_-000001"));
  EXPECT_EQ(vault.list().value()[0].manifest->capture.guest.name, "../../../tmp/evil\n");
}

TEST_F(Vaults, RefuseFoldersThatEverybodyWritesTo) {
  fs::create_directory(path_);
  ASSERT_EQ(::chmod(path_.c_str(), 0777), 0);
  EXPECT_EQ(Vault::open_to_write(path_).error().code, Errc::denied);
}

TEST_F(Vaults, WithoutAFolder) {
  EXPECT_EQ(Vault::open(path_).error().code, Errc::not_found);
  EXPECT_FALSE(Vault::open_to_write(path_ + "/deep/down"));
}

}  // namespace
}  // namespace vmcore::vault
