// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "src/convert/convert.h"
#include "src/formats/dump_format.h"
#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest::save {
namespace {

namespace fs = std::filesystem;

class TargetFile : public ::testing::Test {
 protected:
  TargetFile() {
    std::string name = "/var/tmp/vmcore-target-XXXXXX";  // /tmp may be in memory
    folder_ = ::mkdtemp(name.data());
  }
  ~TargetFile() override { fs::remove_all(folder_); }

  std::vector<std::string> names(const fs::path& folder) const {
    std::vector<std::string> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      found.push_back(entry.path().filename());
    }
    std::ranges::sort(found);
    return found;
  }
  static std::string text(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void make_dump(const std::string& name) const {
    fs::create_directory(folder_ / name);
    std::ofstream(folder_ / name / "vmcore") << "old";
  }

  fs::path folder_;
  SavedGuest guest_;
};

TEST_F(TargetFile, KeepsTheDumpItsLogAndTheReason) {
  const auto saved = save_to_folder(folder_, guest_.crash());
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_EQ(saved->place, folder_ / "2025-11-21-185133/vmcore");
  EXPECT_EQ(names(folder_), (std::vector<std::string>{"2025-11-21-185133", "boot-reason",
                                                      "reboot-reason", "reboot-stack"}));
  EXPECT_EQ(names(folder_ / "2025-11-21-185133"),
            (std::vector<std::string>{"dmesg.txt", "vmcore"}));
  EXPECT_EQ(text(folder_ / "reboot-reason"), "kernel panic, vmcore collected: " + saved->place +
                                                 ": Kernel panic - not syncing: test\n");
  EXPECT_EQ(text(folder_ / "reboot-stack"), "[    1.500000] Kernel panic - not syncing: test\n");
  EXPECT_EQ(text(folder_ / "boot-reason"), "BootReasonKernel\n");
  struct stat status {};
  EXPECT_EQ(::stat(saved->place.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  const auto written = formats::open_dump(Fd(::open(saved->place.c_str(), O_RDONLY)));
  ASSERT_TRUE(written) << written.error().message;
  const auto whole = convert::plan_only(guest_.image, {}, {});  // what is saved in windows has none
  EXPECT_EQ(whole->plan.kept_pages, saved->outcome.plan.kept_pages);
  EXPECT_TRUE(convert::verify(guest_.image, *written, *whole, {}));
}

TEST_F(TargetFile, KeepsTheNewestAndTouchesNothingElse) {
  for (const char* name : {"2024-01-01-000000", "2024-01-02-000000", "2024-01-03-000000"}) {
    make_dump(name);
  }
  fs::create_directory(folder_ / "mine");
  std::ofstream(folder_ / "2024-01-01-000000/notes") << "mine, too";
  guest_.config.keep = 2;
  ASSERT_TRUE(save_to_folder(folder_, guest_.crash()));
  EXPECT_EQ(names(folder_),
            (std::vector<std::string>{"2024-01-01-000000", "2024-01-03-000000", "2025-11-21-185133",
                                      "boot-reason", "mine", "reboot-reason", "reboot-stack"}));
  EXPECT_EQ(names(folder_ / "2024-01-01-000000"), std::vector<std::string>{"notes"});
}

TEST_F(TargetFile, AClockThatIsWrongDoesNotCostTheNewDump) {
  make_dump("2031-01-01-000000");
  make_dump("2031-01-02-000000");
  guest_.config.keep = 2;
  ASSERT_TRUE(save_to_folder(folder_, guest_.crash()));
  EXPECT_EQ(names(folder_),
            (std::vector<std::string>{"2025-11-21-185133", "2031-01-02-000000", "boot-reason",
                                      "reboot-reason", "reboot-stack"}));
  EXPECT_EQ(names(folder_ / "2025-11-21-185133"),
            (std::vector<std::string>{"dmesg.txt", "vmcore"}));
}

TEST_F(TargetFile, InTheFlatLayoutTheReasonsLieAboveAsEveOsReadsThem) {
  guest_.config.layout = config::Layout::flat;
  guest_.config.tag = "rehearsal";
  guest_.config.keep = 2;
  const fs::path crashes = folder_ / "kcrashes";
  fs::create_directory(crashes);
  for (const char* name : {"dmesg-2024-01-01-000000.log", "vmcore-2024-01-01-000000",
                           "dmesg-2024-01-02-000000.log", "vmcore-mine"}) {
    std::ofstream(crashes / name) << "old";
  }
  const auto saved = save_to_folder(crashes, guest_.crash());
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_EQ(saved->place, crashes / "vmcore-2025-11-21-185133");
  EXPECT_EQ(names(crashes),
            (std::vector<std::string>{"dmesg-2024-01-02-000000.log", "dmesg-2025-11-21-185133.log",
                                      "tag-2025-11-21-185133", "vmcore-2025-11-21-185133",
                                      "vmcore-mine"}));
  EXPECT_EQ(names(folder_),
            (std::vector<std::string>{"boot-reason", "kcrashes", "reboot-reason", "reboot-stack"}));
  EXPECT_TRUE(text(folder_ / "reboot-reason").starts_with("kernel panic, vmcore collected: "));
  EXPECT_EQ(save_to_folder(crashes, guest_.crash())->place, crashes / "vmcore-2025-11-21-185133.1");
}

TEST_F(TargetFile, TwoCrashesOfOneSecondAreTwoDumps) {
  ASSERT_TRUE(save_to_folder(folder_, guest_.crash()));
  const auto second = save_to_folder(folder_, guest_.crash());
  ASSERT_TRUE(second);
  EXPECT_EQ(second->place, folder_ / "2025-11-21-185133.1/vmcore");
}

TEST_F(TargetFile, WhatIsCutOffIsKeptUnderAnotherName) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit little{64 << 10, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
  const auto saved = save_to_folder(folder_, guest_.crash());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(saved);
  EXPECT_EQ(names(folder_ / "2025-11-21-185133"),
            (std::vector<std::string>{"dmesg.txt", "vmcore.incomplete"}));
  EXPECT_TRUE(text(folder_ / "reboot-reason").starts_with("kernel panic, dmesg collected: "));
}

// 32 TiB more of it: no disk of a test machine has the room that its dump may need.
class LargeMemory final : public PhysicalMemory {
 public:
  explicit LargeMemory(std::unique_ptr<PhysicalMemory> memory) : memory_(std::move(memory)) {}
  Extent extent(PhysAddr address) const override {
    constexpr PhysRange kMore{{std::uint64_t{1} << 40}, std::uint64_t{1} << 45};
    if (kMore.contains(address)) {
      return {{address, kMore.end() - address}, Presence::data};
    }
    Extent found = memory_->extent(address);
    if (address < kMore.begin && found.range.end() > kMore.begin) {
      found.range.size = kMore.begin - address;
    }
    return found;
  }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    return memory_->read(address, out);
  }

 private:
  std::unique_ptr<PhysicalMemory> memory_;
};

TEST_F(TargetFile, WhereADumpHasNoRoomTheLogAndTheReasonAre) {
  make_dump("2024-01-01-000000");
  MemoryImage image = SavedGuest::builder().build();
  image.memory = std::make_unique<LargeMemory>(std::move(image.memory));
  SavedGuest guest(std::move(image));
  guest.config.level = 0;  // what has no struct pages is kept, too
  guest.config.tag = "rehearsal";
  const auto saved = save_to_folder(folder_, guest.crash());
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, Errc::no_space);
  EXPECT_EQ(names(folder_ / "2025-11-21-185133"), (std::vector<std::string>{"dmesg.txt", "tag"}));
  EXPECT_EQ(text(folder_ / "2025-11-21-185133/dmesg.txt"),
            "[    0.000000] Linux version test\n[    1.500000] Kernel panic - not syncing: test\n");
  EXPECT_EQ(text(folder_ / "reboot-reason"), "kernel panic, dmesg collected: " + folder_.string() +
                                                 "/2025-11-21-185133/dmesg.txt: "
                                                 "Kernel panic - not syncing: test\n");
  EXPECT_EQ(names(folder_ / "2024-01-01-000000"), std::vector<std::string>{"vmcore"});
}

TEST(CheckRoom, OlderDumpsCountForWhatTheyWouldLeave) {
  constexpr std::uint64_t kMib = 1U << 20;
  const std::array older = {20 * kMib, 5 * kMib};
  EXPECT_TRUE(check_room("/crash", 32 * kMib, {}, 32 * kMib));
  EXPECT_TRUE(check_room("/crash", 7 * kMib, older, 32 * kMib));
  const Result<> none = check_room("/crash", 7 * kMib - 1, older, 32 * kMib);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::no_space);
  EXPECT_EQ(none.error().message, "/crash has 6 MiB free, and a dump may need 32 MiB");
}

TEST_F(TargetFile, OlderDumpsGoForTheLogAndThenItsOwnOldestLines) {
  make_dump("2024-01-01-000000");
  while (guest_.report.dmesg.size() < 300 << 10) {
    guest_.report.dmesg += fmt::format("[    2.{:06}] a line\n", guest_.report.dmesg.size());
  }
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit little{100 << 10, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
  EXPECT_FALSE(save_to_folder(folder_, guest_.crash()));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(fs::exists(folder_ / "2024-01-01-000000"));
  const std::string log = text(folder_ / "2025-11-21-185133/dmesg.txt");
  EXPECT_TRUE(guest_.report.dmesg.ends_with(log));
  EXPECT_TRUE(log.starts_with("[    2."));
  EXPECT_GT(log.size(), 50U << 10);
  EXPECT_TRUE(text(folder_ / "reboot-reason").starts_with("kernel panic, dmesg collected: "));
  EXPECT_TRUE(std::ranges::any_of(guest_.said, [](const std::string& line) {
    return line.starts_with("the newest part of the log, as much as fits, is in ");
  }));
}

TEST_F(TargetFile, AFileWhereTheFolderShouldBeIsNoPlace) {
  std::ofstream(folder_ / "crash") << "mine";
  EXPECT_EQ(save_to_folder(folder_ / "crash", guest_.crash()).error().code, Errc::io);
  fs::create_symlink("nowhere", folder_ / "link");
  EXPECT_EQ(save_to_folder(folder_ / "link", guest_.crash()).error().message,
            (folder_ / "link").string() + ": Not a directory");
  EXPECT_EQ(names(folder_), (std::vector<std::string>{"crash", "link"}));
}

TEST_F(TargetFile, AnotherCaptureEnvironmentGetsOneFile) {
  const std::string out = folder_ / "dump";
  const auto saved = save_to_file(out, guest_.crash());
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_EQ(names(folder_), std::vector<std::string>{"dump"});
  EXPECT_EQ(save_to_file(out, guest_.crash()).error().code, Errc::exists);
}

TEST_F(TargetFile, MemoryIsNoPlaceToKeepIt) {
  struct statfs status {};
  if (::statfs("/dev/shm", &status) != 0 || status.f_type != TMPFS_MAGIC) {
    GTEST_SKIP() << "/dev/shm is no tmpfs";
  }
  std::string name = "/dev/shm/vmcore-target-XXXXXX";
  const fs::path folder = ::mkdtemp(name.data());
  const auto saved = save_to_folder(folder, guest_.crash());
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().message, folder.string() +
                                       " is in memory and is lost at the reboot: name a device "
                                       "(file:DEVICE:/FOLDER), or mount one there");
  EXPECT_TRUE(names(folder).empty());
  fs::remove_all(folder);
}

// Nothing of it is sealed.
TEST_F(TargetFile, TheDiskOfAHostThatMustNotSeeItGetsNothing) {
  guest_.encryption = "SEV";
  guest_.config.encrypt_to = seal::PublicKey{1, 2, 3};
  const auto saved = save_to_folder("/dev/null:/crash", guest_.crash());
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, Errc::denied);
  EXPECT_EQ(saved.error().message,
            "this guest's memory is encrypted (SEV), but its host can read its disks, and a dump "
            "in a file system cannot be sealed: use target raw or port with encrypt-to");
  EXPECT_TRUE(save_to_folder(folder_, guest_.crash()));  // whoever mounted that knows what it is
}

TEST_F(TargetFile, OfBtrfsASubvolumeStandsInBrackets) {
  const auto place = parse_file_place("UUID=12[/@/var]:/crash");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->device, "UUID=12");
  EXPECT_EQ(place->subvolume, "/@/var");
  EXPECT_EQ(place->folder, "/crash");
  for (const char* where : {"UUID=12[/@/var]:/crash", "/dev/vdb:/", "/crash"}) {
    EXPECT_EQ(format_file_place(*parse_file_place(where)), where);
  }
  for (const char* where : {"UUID=12[@]:/x", "UUID=12[/@:/x", "UUID=12[/a,b]:/x", "[/@]:/x"}) {
    EXPECT_FALSE(parse_file_place(where)) << where;
  }
}

TEST_F(TargetFile, WhatItCannotReadIsInvalid) {
  EXPECT_EQ(save_to_folder("vdb", guest_.crash()).error().code, Errc::invalid);
  EXPECT_EQ(save_to_folder("vdb:/x", guest_.crash()).error().code, Errc::invalid);
}

}  // namespace
}  // namespace vmcore::guest::save
