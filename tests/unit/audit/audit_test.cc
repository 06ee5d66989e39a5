// SPDX-License-Identifier: GPL-2.0-or-later
// Records as a journal, and a syslog, receives them.
#include "src/audit/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "src/base/fd.h"
#include "src/base/printable.h"
#include "src/base/whole_file.h"

namespace vmcore::audit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Records : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "vmcorectl-audit-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    sockets_ = {.journal = folder_ / "journal", .syslog = folder_ / "syslog"};
  }
  void TearDown() override { fs::remove_all(folder_); }

  static Fd listen_on(const std::string& path) {
    Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strcpy(address.sun_path, path.c_str());
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return socket;
  }

  // The next datagram; empty if none waits.
  static std::string next(const Fd& socket) {
    std::string text(1U << 18, '\0');
    const auto got = ::recv(socket.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

  // The fields of a record: one on each line.
  static std::map<std::string, std::string> fields(const std::string& text) {
    std::map<std::string, std::string> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const auto sign = line.find('=');
      EXPECT_NE(sign, std::string::npos) << line;
      EXPECT_TRUE(found.emplace(line.substr(0, sign), line.substr(sign + 1)).second) << line;
    }
    EXPECT_TRUE(text.ends_with('\n'));
    return found;
  }

  fs::path folder_;
  Sockets sockets_;
};

TEST_F(Records, ARecord) {
  const Fd journal = listen_on(sockets_.journal);
  write({.deed = Deed::dump,
         .guest = "vm1",
         .uuid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
         .result = "done",
         .fields = {{"VMCORECTL_LEVEL", "31"}, {"VMCORECTL_FILE", "/a b"}, {"VMCORECTL_TAG", ""}}},
        sockets_);
  auto found = fields(next(journal));
  EXPECT_EQ(found["MESSAGE"], "dump of the memory of vm1: done");
  EXPECT_EQ(found["MESSAGE_ID"], message_id(Deed::dump));
  EXPECT_EQ(found["PRIORITY"], "5");
  EXPECT_EQ(found["VMCORECTL_DEED"], "dump");
  EXPECT_EQ(found["VMCORECTL_GUEST"], "vm1");
  EXPECT_EQ(found["VMCORECTL_UUID"], "1b4e28ba-2fa1-11d2-883f-0016d3cca427");
  EXPECT_EQ(found["VMCORECTL_RESULT"], "done");
  EXPECT_EQ(found["VMCORECTL_UID"], std::to_string(::getuid()));
  EXPECT_EQ(found["VMCORECTL_LEVEL"], "31");
  EXPECT_EQ(found["VMCORECTL_FILE"], "/a b");
  EXPECT_EQ(found["SYSLOG_IDENTIFIER"], "unit_audit");
  EXPECT_FALSE(found.contains("VMCORECTL_TAG"));
}

TEST_F(Records, WhatWasNotDoneIsAWarning) {
  const Fd journal = listen_on(sockets_.journal);
  write({.deed = Deed::remove, .result = "it is held"}, sockets_);
  auto found = fields(next(journal));
  EXPECT_EQ(found["PRIORITY"], "4");
  EXPECT_EQ(found["MESSAGE"], "removal of a stored crash: it is held");
}

// A guest's name could begin a field of its own, or a record.
TEST_F(Records, ValuesOfOthersStayValues) {
  const Fd journal = listen_on(sockets_.journal);
  write({.deed = Deed::dump,
         .guest = "vm1\nMESSAGE_ID=0\nPRIORITY=0\n\n_UID=0",
         .result = "\x1b[2J\xff" + std::string(1'000'000, 'x'),
         .fields = std::vector<std::pair<std::string_view, std::string>>(
             1000, {"VMCORECTL_FILE", std::string("\xe2\x80\xae\n")})},
        sockets_);
  const std::string text = next(journal);
  EXPECT_LT(text.size(), 100'000U);
  EXPECT_THAT(text, HasSubstr("VMCORECTL_GUEST=vm1\\x0aMESSAGE_ID=0"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(is_printable(line)) << line;
    EXPECT_LT(line.size(), 2200U);
  }
  EXPECT_THAT(text, Not(HasSubstr("\n_UID")));
  EXPECT_THAT(text, Not(HasSubstr("\nPRIORITY=0")));
}

TEST_F(Records, ALongValueIsCutBetweenCharacters) {
  const Fd journal = listen_on(sockets_.journal);
  std::string name = "x";
  while (name.size() < 2000) {
    name += "\xc3\xa4";
  }
  write({.deed = Deed::arm, .guest = name, .result = "done"}, sockets_);
  const auto found = fields(next(journal));
  EXPECT_TRUE(name.starts_with(found.at("VMCORECTL_GUEST")));
  EXPECT_GT(found.at("VMCORECTL_GUEST").size(), 1000U);
  EXPECT_LE(found.at("VMCORECTL_GUEST").size(), 1024U);
}

TEST_F(Records, WithoutAJournalTheyGoToSyslog) {
  const Fd syslog = listen_on(sockets_.syslog);
  write({.deed = Deed::hold, .guest = "it's vm1", .result = "done"}, sockets_);
  EXPECT_THAT(next(syslog),
              AllOf(HasSubstr("<85>"), HasSubstr("unit_audit["),
                    HasSubstr("hold on a stored crash of it's vm1: done VMCORECTL_DEED=hold"),
                    HasSubstr("VMCORECTL_UID=")));
  const Fd journal = listen_on(sockets_.journal);
  write({.deed = Deed::hold, .result = "done"}, sockets_);
  EXPECT_THAT(next(journal), HasSubstr("MESSAGE_ID="));
  EXPECT_THAT(next(syslog), IsEmpty());
}

TEST_F(Records, WithoutBothNothingFails) {
  write({.deed = Deed::hold, .result = "done"}, sockets_);
  write({.deed = Deed::hold, .result = "done"}, {std::string(500, '/'), std::string(500, 'a')});
}

// A journal that does not read keeps nobody waiting: the record goes to syslog.
TEST_F(Records, AJournalThatDoesNotRead) {
  const Fd journal = listen_on(sockets_.journal);
  const Fd syslog = listen_on(sockets_.syslog);
  std::string text;
  for (int i = 0; i < 5000 && text.empty(); ++i) {
    write({.deed = Deed::dump, .result = std::string(1000, 'x')}, sockets_);
    text = next(syslog);
  }
  EXPECT_THAT(text, HasSubstr("VMCORECTL_DEED=dump"));
}

TEST(Deeds, EachHasAnIdOfItsOwnWhichIsDocumented) {
  const auto page = read_file(AUDIT_PAGE);
  ASSERT_TRUE(page);
  std::set<std::string_view> ids;
  for (std::size_t i = 0; i < kDeeds; ++i) {
    const auto deed = static_cast<Deed>(i);
    EXPECT_TRUE(ids.insert(message_id(deed)).second) << i;
    EXPECT_EQ(message_id(deed).size(), 32U);
    EXPECT_EQ(message_id(deed).find_first_not_of("0123456789abcdef"), std::string_view::npos);
    EXPECT_THAT(*page, HasSubstr(fmt::format("| `{}` | {} |", deed_name(deed), message_id(deed))));
  }
}

}  // namespace
}  // namespace vmcore::audit
