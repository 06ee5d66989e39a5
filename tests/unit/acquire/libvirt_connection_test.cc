// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/connection.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "src/acquire/crash/guest_keys.h"
#include "src/acquire/libvirt/guest.h"
#include "src/acquire/libvirt/state.h"

namespace vmcore::acquire {
namespace {

// libvirt's own test driver: two domains, ids 1 and 2, the first of them named "2".
class LibvirtConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = "/tmp/vmcorectl-test-" + std::to_string(::getpid()) + ".xml";
    std::ofstream(path_) << "<node>" << domain("2", 1) << domain("vm", 2) << "</node>";
    auto connection = connect_libvirt("test://" + path_.string());
    ASSERT_TRUE(connection) << connection.error().message;
    connection_ = *std::move(connection);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  static std::string domain(std::string_view name, int number) {
    return fmt::format(
        "<domain type='test'><name>{}</name><uuid>00000000-0000-0000-0000-00000000000{}</uuid>"
        "<memory>1024</memory><os><type>hvm</type></os></domain>",
        name, number);
  }
  std::string found(const std::string& text, LookUp how) {
    const auto domain = find_domain(connection_.get(), text, how);
    return domain ? virDomainGetName(domain->get()) : std::string(errc_name(domain.error().code));
  }

  std::filesystem::path path_;
  LibvirtConnection connection_;
};

TEST_F(LibvirtConnectionTest, FindsByWhatFits) {
  EXPECT_EQ(found("vm", LookUp::any), "vm");
  EXPECT_EQ(found("1", LookUp::any), "2");
  EXPECT_EQ(found("00000000-0000-0000-0000-000000000002", LookUp::any), "vm");
  EXPECT_EQ(found("none", LookUp::any), "not_found");
  EXPECT_EQ(found("", LookUp::any), "not_found");
}

TEST_F(LibvirtConnectionTest, RefusesANumberThatIsTwoThings) {
  EXPECT_EQ(found("2", LookUp::any), "invalid");
  EXPECT_EQ(found("2", LookUp::id), "vm");
  EXPECT_EQ(found("2", LookUp::name), "2");
  EXPECT_EQ(found("vm", LookUp::id), "not_found");
  EXPECT_EQ(found("1", LookUp::name), "not_found");
}

// A guest has one key, whatever it is called.
TEST_F(LibvirtConnectionTest, AGuestIsKnownByItsUuid) {
  const std::string uri = "test://" + path_.string();
  for (const auto& [name, look_up] :
       {std::pair{"vm", LookUp::any}, std::pair{"2", LookUp::id},
        std::pair{"00000000-0000-0000-0000-000000000002", LookUp::any}}) {
    const auto guest = LibvirtGuest::open({.uri = uri, .domain = name, .look_up = look_up});
    ASSERT_TRUE(guest) << guest.error().message;
    EXPECT_EQ((*guest)->keys(), GuestKeys{domain_key("00000000-0000-0000-0000-000000000002")});
  }
}

TEST(CrashWord, TheStateIsNotAlwaysAsClear) {
  EXPECT_EQ(crash_word(VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED), CrashWord::yes);
  EXPECT_EQ(crash_word(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_CRASHED), CrashWord::yes);
  // on_crash preserve-running, and coredump-restart when it has booted again
  EXPECT_EQ(crash_word(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_CRASHED), CrashWord::maybe);
  EXPECT_EQ(crash_word(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED), CrashWord::no);
  EXPECT_EQ(crash_word(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER), CrashWord::no);
}

TEST(ConnectLibvirt, SaysWhatItCannotReach) {
  const auto connection = connect_libvirt("nosuchdriver:///");
  ASSERT_FALSE(connection);
  EXPECT_NE(connection.error().message.find("nosuchdriver"), std::string::npos);
}

TEST(ConnectLibvirt, RefusesOtherHosts) {
  for (const char* uri : {"qemu+ssh://far/system", "qemu://far/system", "qemu+tls://far/system"}) {
    const auto connection = connect_libvirt(uri);
    ASSERT_FALSE(connection) << uri;
    EXPECT_EQ(connection.error().code, Errc::unsupported) << uri;
  }
}

}  // namespace
}  // namespace vmcore::acquire
