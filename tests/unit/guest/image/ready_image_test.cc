// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/ready_image.h"

#include <gmock/gmock.h>

#include "guest/image/capture_image.h"
#include "guest/image/stale_image.h"
#include "guest/root/read_config.h"
#include "src/seal/key.h"
#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kRelease = "6.1-test";
constexpr const char* kKept = "/var/lib/vmcore-guest/capture-6.1-test.img";
constexpr const char* kInMemory = "/run/vmcore-guest/capture-6.1-test.img";

class ReadyImageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root.write("/run/x", "");
    root.write("/var/lib/vmcore-guest/x", "");
    root.write("/lib/modules/6.1-test/modules.dep", "");
    root.write("/lib/modules/6.1-test/modules.builtin",
               "kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/char/virtio_console.ko\n");
    root.write("/etc/vmcore-guest.conf", "target = port\n");
  }
  // What `build` makes of the root as it is now.
  std::string image() const {
    const root::Root opened = root.root();
    return make_capture_image(opened, {.release = kRelease,
                                       .init = "the program",
                                       .config = root::read_config(opened).value()})
        ->bytes;
  }
  // Older than its configuration, whose clock may tick only every 10 ms.
  void make_stale() const {
    const timespec wait{.tv_sec = 0, .tv_nsec = 20'000'000};
    ::nanosleep(&wait, nullptr);
    root.write("/lib/modules/6.1-test/modules.dep", "kernel/x.ko:\n");
  }
  // `writable`: where an image can be built.
  Result<ReadyImage> ready(std::initializer_list<std::string> writable) {
    return ready_image(
        root.root(), kRelease,
        [&](const std::string& path) -> Result<> {
          tried.push_back(path);
          if (std::ranges::find(writable, path) == writable.end()) {
            return fail(Errc::no_space, "no room");
          }
          root.write(path, image());
          return {};
        },
        now);
  }

  FolderRoot root;
  std::vector<std::string> tried;
  std::chrono::seconds now{100};
};

TEST_F(ReadyImageTest, OneThatIsUpToDateIsTaken) {
  root.write(kKept, image());
  EXPECT_EQ(ready({})->path, kKept);
  EXPECT_THAT(tried, IsEmpty());
}

TEST_F(ReadyImageTest, AStaleOneIsBuiltInItsPlace) {
  root.write(kKept, image());
  root.write(kInMemory, image());
  make_stale();
  const auto built = ready({kKept});
  ASSERT_TRUE(built);
  EXPECT_EQ(built->path, kKept);
  EXPECT_THAT(built->remarks, IsEmpty());
  EXPECT_FALSE(root.exists(kInMemory));  // takes memory, and nobody needs it
}

TEST_F(ReadyImageTest, WithoutRoomItIsBuiltInMemory) {
  root.write(kKept, image());
  make_stale();
  const auto built = ready({kInMemory});
  ASSERT_TRUE(built);
  EXPECT_EQ(built->path, kInMemory);
  EXPECT_FALSE(built->older);
  ASSERT_EQ(built->remarks.size(), 1U);
  EXPECT_THAT(built->remarks[0].text,
              HasSubstr(std::string(kKept) + " cannot be written (no room)"));
  tried.clear();
  EXPECT_EQ(ready({kInMemory})->path, kInMemory);
  EXPECT_THAT(tried, ElementsAre(kKept));  // the one in memory is up to date
}

TEST_F(ReadyImageTest, WhereNothingCanBeBuiltTheOlderOneServes) {
  root.write(kKept, image());
  make_stale();
  const auto older = ready({});
  ASSERT_TRUE(older) << older.error().message;
  EXPECT_EQ(older->path, kKept);
  EXPECT_TRUE(older->older);
  ASSERT_EQ(older->remarks.size(), 1U);
  EXPECT_THAT(older->remarks[0].text, HasSubstr("the older one is used, /var/lib"));
}

TEST_F(ReadyImageTest, AfterAFailureATimerWaitsLongerEachTime) {
  using std::chrono::minutes;
  const auto may_at = [this](std::chrono::seconds when) {
    return may_build_again(root.root(), when);
  };
  root.write(kKept, image());
  make_stale();
  EXPECT_TRUE(may_at(now));
  for (const minutes wait : {minutes(30), minutes(60), minutes(120), minutes(240), minutes(240)}) {
    ASSERT_TRUE(ready({}));
    EXPECT_FALSE(may_at(now));
    EXPECT_FALSE(may_at(now + wait - std::chrono::seconds(1)));
    EXPECT_TRUE(may_at(now + wait));
    now += wait;
  }
  ASSERT_TRUE(ready({kInMemory}));
  EXPECT_TRUE(may_at(now));
  make_stale();
  ASSERT_TRUE(ready({}));
  EXPECT_FALSE(may_at(now + minutes(29)));
  EXPECT_TRUE(may_at(now + minutes(30)));
  ASSERT_TRUE(ready({kKept}));
  EXPECT_TRUE(may_at(now));
}

TEST_F(ReadyImageTest, AnOlderOneThatIsDamagedOrOfAnotherKernelDoesNotServe) {
  const std::string whole = image();
  EXPECT_EQ(ready({}).error().message, "no room");
  root.write(kKept, whole.substr(0, whole.size() / 2));
  EXPECT_EQ(ready({}).error().message, "no room");
  const root::Root opened = root.root();
  root.write("/lib/modules/5.10-other/modules.dep", "");
  root.write(
      kKept,
      make_capture_image(opened, {.release = "5.10-other", .init = "x", .config = {}})->bytes);
  EXPECT_EQ(ready({}).error().message, "no room");
}

// It would send in the clear, or to a key that was given up.
TEST_F(ReadyImageTest, AnOlderOneThatSealsToAnotherKeyDoesNotServe) {
  root.write(kKept, image());
  make_stale();
  root.write("/etc/vmcore-guest.conf", "target = port\nencrypt-to = nonsense\n");
  EXPECT_FALSE(ready({}));
  const std::string key = seal::format_public_key({1, 2, 3});
  root.write("/etc/vmcore-guest.conf", "target = port\nencrypt-to = " + key + "\n");
  ASSERT_TRUE(root::read_config(root.root())) << root::read_config(root.root()).error().message;
  EXPECT_FALSE(ready({}));
  root.write(kKept, image());
  make_stale();
  EXPECT_EQ(ready({})->path, kKept);
}

}  // namespace
}  // namespace vmcore::guest::image
