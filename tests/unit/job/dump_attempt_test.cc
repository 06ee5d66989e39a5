// SPDX-License-Identifier: GPL-2.0-or-later
// A worker that a guest has taken over (rogue_worker.cc) and a guest whose process is this one:
// what it can still have when the guest was let go.
#include "src/job/dump_attempt.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <functional>

#include "src/acquire/process/guest_process.h"
#include "src/image/page.h"
#include "src/job/read_paused.h"
#include "tests/unit/job/rogue_worker.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;
using sandbox::Rogue;
using ::testing::HasSubstr;

// What is done to the guest, in its order.
enum class Deed : std::uint8_t { copied, held, let_go };

class Held : public acquire::Lease {
 public:
  Held(std::vector<Deed>& deeds, const Fd& line) : deeds_(deeds), line_(line) {}
  // As QEMU does: when nobody reads any more.
  Result<acquire::Microseconds> end() override {
    pollfd reader{line_.get(), 0, 0};
    if (::poll(&reader, 1, 10'000) != 1) {
      return fail(Errc::guest_state, "the guest is held still");
    }
    deeds_.push_back(Deed::let_go);
    return acquire::Microseconds(1);
  }

 private:
  std::vector<Deed>& deeds_;
  const Fd& line_;
};

class RunningGuest : public acquire::Guest {
 public:
  std::vector<std::string> keys() const override { return {}; }
  mutable std::vector<Deed> deeds;  // process() is const
  Fd line;                          // QEMU's end of the pipe that holds the guest
  bool running = true;

  const std::string& name() const override { return name_; }
  Result<std::uint64_t> memory_size() override { return kPageSize; }
  Result<acquire::GuestState> state() override { return acquire::GuestState{"running", running}; }
  std::optional<std::uint64_t> host_memory() override { return std::nullopt; }
  // Asked for by whoever copies of it; and by recall_place() before that.
  const acquire::GuestProcess* process() const override {
    if (located_) {
      deeds.push_back(Deed::copied);
    }
    return &*process_;
  }
  Result<> check_readable() override { return {}; }
  Result<> check_idle() override { return {}; }
  bool needs_spool(const acquire::GuestState&) const override { return false; }
  bool in_place() const override { return true; }
  Result<acquire::Acquired> acquire(const acquire::GuestState& state,
                                    const acquire::Patience& patience) override {
    deeds.push_back(Deed::held);
    TRY_ASSIGN(lease::Holder holder, lease::Holder::start(patience.terms(state.running, false)));
    line = holder.take_writing_end();
    Fd relay = holder.take_relay();
    return acquire::Acquired{sandbox::ProcessInput{}, std::move(relay),
                             std::make_unique<Held>(deeds, line), std::move(holder)};
  }
  Result<Fd> fetch(PhysRange) override { return fail(Errc::unsupported, "not fetched"); }
  Result<ImageSource> locate(std::span<const PhysRange>) override { return look(); }
  Result<ImageSource> look() override {
    located_ = true;
    return ImageSource{.memory = Fd(::open("/proc/self/mem", O_RDONLY)),
                       .pagemap = Fd(::open("/proc/self/pagemap", O_RDONLY)),
                       .files = {},
                       .pieces = {{.range = {{0}, kPageSize},
                                   .address = reinterpret_cast<std::uint64_t>(page_.data()),
                                   .file = {}}}};
  }
  Result<> act(acquire::Then) override { return {}; }

 private:
  std::string name_ = "guest";
  Result<acquire::GuestProcess> process_ = acquire::GuestProcess::open(::getpid());
  std::vector<std::byte> page_ = std::vector<std::byte>(kPageSize, std::byte{0xab});
  bool located_ = false;
};

class DumpAttemptByARogue : public ::testing::Test {
 protected:
  DumpAttemptByARogue() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    folder_ = ::mkdtemp(folder);
  }
  ~DumpAttemptByARogue() override { fs::remove_all(folder_); }

  // Dumped by a worker that does so.
  Result<DumpResult> dump(Rogue what_it_does, int cancel = -1) {
    GuestDumpOptions options;
    options.output = folder_ / "out";
    options.dump.how.compress_level = static_cast<int>(what_it_does);
    options.pause_limit = limit_;
    options.memory = kPageSize;
    options.on_memory_read = on_memory_read_;
    GuestReport report;
    report.before = *guest_.state();
    return DumpAttempt(guest_, options, report, {}, cancel).run();
  }

  // A look at it while it stands still.
  Result<TextResult> look(int cancel = -1) {
    const sandbox::Request request{.operation = sandbox::Operation::memory,
                                   .input = sandbox::ProcessInput{}};
    GuestReport report;
    report.before = *guest_.state();
    return read_held(guest_, request, report, limit_, cancel);
  }

  void expect_refused(const Result<DumpResult>& result) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::malformed);
    EXPECT_THAT(result.error().message, HasSubstr("worker protocol"));
    EXPECT_EQ(guest_.deeds, (std::vector{Deed::copied, Deed::held, Deed::let_go}));
    EXPECT_TRUE(fs::is_empty(folder_));
  }

  std::function<void()> on_memory_read_;
  RunningGuest guest_;
  fs::path folder_;
  std::chrono::milliseconds limit_{60'000};
};

TEST_F(DumpAttemptByARogue, BeginsAsItShould) {
  EXPECT_TRUE(dump(Rogue::nothing));
  EXPECT_EQ(guest_.deeds.at(0), Deed::copied);
  EXPECT_EQ(guest_.deeds.at(1), Deed::held);
  EXPECT_EQ(guest_.deeds.at(2), Deed::let_go);
}

// A guest that stands still, and that somebody waits for: copied as well, and returned once.
TEST_F(DumpAttemptByARogue, AStoppedGuestIsReturnedWhenItsMemoryIsRead) {
  guest_.running = false;
  int returned = 0;
  on_memory_read_ = [&] {
    ++returned;
    EXPECT_EQ(guest_.deeds.back(), Deed::let_go);
  };
  EXPECT_TRUE(dump(Rogue::nothing));
  EXPECT_EQ(returned, 1);
  EXPECT_EQ(guest_.deeds.at(0), Deed::copied);
}

// Nobody waits for it: no room is needed for it, and the rogue finds none.
TEST_F(DumpAttemptByARogue, AStoppedGuestIsNotCopiedForNobody) {
  guest_.running = false;
  EXPECT_FALSE(dump(Rogue::nothing));
}

// Its line is closed where it asks for anything else.
TEST_F(DumpAttemptByARogue, OnlyWhatWasLocatedIsReadForIt) {
  EXPECT_EQ(dump(Rogue::reads).error().message, "it was read");
  EXPECT_EQ(dump(Rogue::reads_beside).error().message, "closed");
}

TEST_F(DumpAttemptByARogue, NothingIsCopiedOfAGuestThatWasLetGo) {
  expect_refused(dump(Rogue::copies_late));
}

TEST_F(DumpAttemptByARogue, AGuestThatWasLetGoIsNotHeldAgain) {
  expect_refused(dump(Rogue::is_ready_again));
}

// The worker does not let go, and the thread that follows it waits for it.
TEST_F(DumpAttemptByARogue, AGuestIsLetGoWhenTheLimitIsOver) {
  limit_ = std::chrono::milliseconds(100);
  const auto result = dump(Rogue::holds_on);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::limit);
  EXPECT_THAT(result.error().message, HasSubstr("--pause-limit allows (100 ms)"));
  EXPECT_THAT(result.error().message, HasSubstr("--consistency snapshot"));
  EXPECT_EQ(guest_.deeds.back(), Deed::let_go);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(DumpAttemptByARogue, ALookHasTheSameLimit) {
  limit_ = std::chrono::milliseconds(100);
  const auto result = look();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::limit);
  EXPECT_THAT(result.error().message, HasSubstr("--pause-limit allows (100 ms)"));
  EXPECT_EQ(guest_.deeds.back(), Deed::let_go);
}

TEST_F(DumpAttemptByARogue, AnInterruptionLetsTheGuestThatIsLookedAtGo) {
  const Fd interrupted(::eventfd(1, EFD_CLOEXEC));
  const auto result = look(interrupted.get());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::cancelled);
}

TEST_F(DumpAttemptByARogue, AnInterruptionLetsTheGuestGo) {
  limit_ = {};  // none
  const Fd interrupted(::eventfd(1, EFD_CLOEXEC));
  const auto result = dump(Rogue::holds_on, interrupted.get());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::cancelled);
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace vmcore::job
