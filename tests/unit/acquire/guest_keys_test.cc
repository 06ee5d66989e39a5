// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/crash/guest_keys.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "src/acquire/process/guest_process.h"
#include "tests/fakes/fake_qemu.h"

namespace vmcore::acquire {
namespace {

namespace fs = std::filesystem;
using qmp::Json;

class GuestKeysTest : public ::testing::Test {
 protected:
  ~GuestKeysTest() override { fs::remove_all(folder_); }

  static fs::path make_folder() {
    char name[] = "/tmp/keys.XXXXXX";
    return ::mkdtemp(name);
  }
  Fd listen_at(const fs::path& path) const {
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(socket.get(), 1), 0);
    return socket;
  }

  const fs::path folder_ = make_folder();
};

TEST_F(GuestKeysTest, ALineIsTheSameByAnyPath) {
  const Fd listener = listen_at(folder_ / "channel");
  fs::create_symlink("channel", folder_ / "link");
  const GuestKeys keys = keys_of_file(folder_ / "channel");
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(keys_of_file(folder_ / "link"), keys);
  const Fd other = listen_at(folder_ / "other");
  EXPECT_NE(keys_of_file(folder_ / "other"), keys);
}

TEST_F(GuestKeysTest, APipeIsALineAndAFileIsNot) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(keys_of_file(folder_ / "pipe").size(), 1U);
  std::ofstream(folder_ / "file") << "a stream\n";
  EXPECT_TRUE(keys_of_file(folder_ / "file").empty());
  EXPECT_TRUE(keys_of_file(folder_ / "none").empty());
}

TEST_F(GuestKeysTest, EachCanBeAFilesName) {
  const Fd listener = listen_at(folder_ / "channel");
  for (const std::string& key : {domain_key("00000000-0000-0000-0000-000000000002"),
                                 process_key({1, 2}), keys_of_file(folder_ / "channel").front()}) {
    EXPECT_EQ(key.find('/'), std::string::npos);
    EXPECT_LT(key.size(), 100U);
  }
}

// This process is the fake QEMU, so that its own threads are the guest's.
GuestKeys keys_of(std::uint64_t thread, const fs::path& socket) {
  fakes::FakeQemu qemu;
  qemu.serve({{"query-cpus-fast", [&](const Json&, auto&) {
                 return fmt::format(R"([{{"thread-id": {}}}])", thread);
               }}});
  auto monitor = qmp::Client::open(qemu.client_end(), {});
  EXPECT_TRUE(monitor);
  return keys_of_monitor(*monitor, socket);
}

TEST_F(GuestKeysTest, AMonitorsGuestIsItsProcess) {
  const Fd listener = listen_at(folder_ / "monitor");
  const GuestKeys keys = keys_of(static_cast<std::uint64_t>(::getpid()), folder_ / "monitor");
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(keys[0], keys_of_file(folder_ / "monitor").front());
  EXPECT_EQ(keys[1], process_key({::getpid(), start_time(::getpid()).value()}));
}

// One that made the sockets of several guests is none of them.
TEST_F(GuestKeysTest, ButNotOneThatOnlyMadeTheSocket) {
  const Fd listener = listen_at(folder_ / "monitor");
  EXPECT_EQ(keys_of(1U << 30, folder_ / "monitor"), keys_of_file(folder_ / "monitor"));
}

}  // namespace
}  // namespace vmcore::acquire
