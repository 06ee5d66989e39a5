// SPDX-License-Identifier: GPL-2.0-or-later
// Links to libvirt's test driver, which has one domain that runs, and to a libvirt that is not
// there.
#include "src/daemon/link.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "src/base/fd.h"
#include "src/base/sys.h"

namespace vmcore::daemon {
namespace {

using acquire::GuestEvent;
using std::chrono::milliseconds;
using testing::Contains;
using testing::HasSubstr;

class LinkTest : public testing::Test {
 protected:
  SourceEvents events() {
    return {.on_event =
                [this](const GuestId& id, const GuestEvent& event) {
                  told_.push_back(id.name + " " + std::string(acquire::kind_name(event.kind)) +
                                  (event.found ? " found" : ""));
                  last_ = id;
                },
            .on_listed = [this](const std::string& from) { told_.push_back("listed " + from); },
            .on_note = [this](const std::string& text, bool) { notes_.push_back(text); }};
  }
  template <class Condition>
  void until(Condition condition) {
    const auto deadline = Loop::Clock::now() + std::chrono::seconds(20);
    while (!condition() && Loop::Clock::now() < deadline) {
      ASSERT_TRUE(loop_.run_once(milliseconds(20)));
    }
    EXPECT_TRUE(condition());
  }
  bool told(const std::string& what) const { return std::ranges::find(told_, what) != told_.end(); }

  Loop loop_;
  std::vector<std::string> told_;
  std::vector<std::string> notes_;
  GuestId last_;
};

TEST_F(LinkTest, TellsHowDomainsWereFoundAndThatAllAreTold) {
  const auto link = LibvirtLink::start(loop_, "test:///default", events());
  ASSERT_TRUE(link) << link.error().message;
  until([&] { return told("listed test:///default"); });
  EXPECT_EQ(told_.front(), "test started found");
  EXPECT_TRUE((*link)->has(last_));
  until([&] { return (*link)->wanted_after_crash(last_).has_value(); });
  const auto lent = (*link)->lend(last_);
  ASSERT_TRUE(lent);
  EXPECT_THAT(lent->words, testing::ElementsAre("-c", "test:///default", "--name", "test"));
  const auto option = (*link)->lend({.from = last_.from, .name = "-o", .uuid = last_.uuid});
  EXPECT_THAT(option->words, testing::ElementsAre("-c", "test:///default", last_.uuid));
  EXPECT_FALSE(lent->can_send);
}

TEST_F(LinkTest, TellsWhatHappensAndDoesWhatItIsTold) {
  const auto link = LibvirtLink::start(loop_, "test:///default", events());
  ASSERT_TRUE(link);
  until([&] { return told("listed test:///default"); });
  std::optional<bool> done;
  (*link)->act(last_, GuestDeed::destroy, false,
               [&](Result<> result) { done = result.has_value(); });
  EXPECT_FALSE(done) << "not before act() has returned";
  until([&] { return done && told("test stopped"); });
  EXPECT_TRUE(*done);
}

TEST_F(LinkTest, ThreeHundredDomainsThatAreListed) {
  char name[] = "/tmp/vmcored-node-XXXXXX.xml";
  const Fd file(::mkostemps(name, 4, O_CLOEXEC));
  std::string node = "<node>";
  for (int i = 0; i < 300; ++i) {
    node += fmt::format(
        "<domain type='test'><name>vm{:03}</name><memory>1024</memory>"
        "<os><type>hvm</type></os></domain>",
        i);
  }
  node += "</node>";
  ASSERT_TRUE(sys::write_full(file.get(), std::as_bytes(std::span(node))));
  const std::string uri = std::string("test://") + name;
  const auto link = LibvirtLink::start(loop_, uri, events());
  ASSERT_TRUE(link) << link.error().message;
  until([&] { return told("listed " + uri); });
  EXPECT_EQ(told_.size(), 301U);
  EXPECT_EQ(told_.back(), "listed " + uri);
  EXPECT_EQ(std::ranges::count_if(
                told_, [](const std::string& one) { return one.ends_with(" started found"); }),
            300);
  ::unlink(name);
}

TEST_F(LinkTest, ALibvirtThatIsNotThereDisturbsNoOther) {
  const auto dead = LibvirtLink::start(loop_, "qemu:///session?socket=/nowhere/socket", events());
  ASSERT_TRUE(dead);
  const auto link = LibvirtLink::start(loop_, "test:///default", events());
  ASSERT_TRUE(link);
  until([&] { return told("listed test:///default"); });
  until([&] { return notes_.size() >= 2; });
  EXPECT_THAT(notes_, Contains(HasSubstr("no connection to libvirt at qemu:///session")));
}

TEST_F(LinkTest, ALinkThatEndsBeforeItIsConnectedHearsNothing) {
  auto link = LibvirtLink::start(loop_, "test:///default", events());
  ASSERT_TRUE(link);
  link->reset();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(loop_.run_once(milliseconds(10)));
  }
  EXPECT_TRUE(told_.empty());
}

TEST_F(LinkTest, AnEmbeddedDriverIsRefused) {
  const auto link = LibvirtLink::start(loop_, "qemu:///embed?root=/r", events());
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code, Errc::unsupported);
}

// The last one: the domain of the test driver stays as it is until all connections are closed.
TEST_F(LinkTest, OfFiveLinksOneGoes) {
  std::vector<std::unique_ptr<LibvirtLink>> links;
  for (int i = 0; i < 5; ++i) {
    links.push_back(*LibvirtLink::start(loop_, "test:///default", events()));
  }
  until([&] { return std::ranges::count(told_, "listed test:///default") == 5; });
  links.front().reset();
  links.back()->act(last_, GuestDeed::destroy, false, [](const Result<>&) {});
  until([&] { return std::ranges::count(told_, "test stopped") == 4; });
}

}  // namespace
}  // namespace vmcore::daemon
