// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/connect.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "qmp/monitor_socket.h"
#include "qmp/unix_peers.h"

namespace vmcore::qmp {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class ConnectTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/vmcorectl-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static sockaddr_un address_of(const fs::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return address;
  }
  static Fd listen_at(const fs::path& path) {
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(socket.get(), 1), 0);
    return socket;
  }
  static Error error_of(const fs::path& path) {
    const auto client = connect(path, {.greeting = 50ms, .events = {}});
    return client ? Error{Errc::io, "connected"} : client.error();
  }

  fs::path folder_;
};

TEST_F(ConnectTest, NoSocket) { EXPECT_EQ(error_of(folder_ / "none").code, Errc::not_found); }

TEST_F(ConnectTest, NotASocket) {
  const Fd file(::open((folder_ / "file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_EQ(error_of(folder_ / "file").code, Errc::invalid);
}

TEST_F(ConnectTest, ADeadSocket) {
  listen_at(folder_ / "dead").reset();
  const Error error = error_of(folder_ / "dead");
  EXPECT_EQ(error.code, Errc::io);
  EXPECT_NE(error.message.find("nobody listens"), std::string::npos) << error.message;
}

TEST_F(ConnectTest, NoPermission) {
  const Fd listener = listen_at(folder_ / "closed");
  ASSERT_EQ(::chmod((folder_ / "closed").c_str(), 0), 0);
  if (::geteuid() == 0) {
    GTEST_SKIP() << "root may connect";
  }
  EXPECT_EQ(error_of(folder_ / "closed").code, Errc::denied);
}

TEST_F(ConnectTest, SomebodyElseHoldsIt) {
  const fs::path path = folder_ / "held";
  const Fd listener = listen_at(path);
  const Fd holder(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_of(path);
  ASSERT_EQ(::connect(holder.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
  const Fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const Error error = error_of(path);
  EXPECT_EQ(error.code, Errc::busy);
  EXPECT_NE(error.message.find(fmt::format("(pid {})", ::getpid())), std::string::npos)
      << error.message;
}

TEST_F(ConnectTest, AMonitorOfLibvirt) {
  fs::create_directory(folder_ / "domain-1-vm");
  const Fd listener = listen_at(folder_ / "domain-1-vm/monitor.sock");
  const Error error = error_of(folder_ / "domain-1-vm/monitor.sock");
  EXPECT_EQ(error.code, Errc::busy);
  EXPECT_NE(error.message.find("-c URI DOMAIN"), std::string::npos) << error.message;
}

TEST_F(ConnectTest, ALongPath) {
  fs::path folder = folder_ / std::string(150, 'x');
  fs::create_directory(folder);
  // Bound by its short name, reached by its long one.
  const Fd listener = listen_at(folder_ / "short");
  fs::rename(folder_ / "short", folder / "socket");
  EXPECT_EQ(error_of(folder / "socket").code, Errc::busy);
}

// By a name that it was not bound to, accepted or not; who hung up is nobody.
TEST_F(ConnectTest, WhoElseIsConnectedIsNamed) {
  const fs::path path = folder_ / "line";
  const fs::path link = folder_ / "link";
  const Fd listener = listen_at(path);
  fs::create_symlink("line", link);
  auto own = connect_unix(path);
  ASSERT_TRUE(own);
  EXPECT_EQ(name_others(path, own->get()), "");
  auto other = connect_unix(path);
  ASSERT_TRUE(other);
  const std::string self = fmt::format("(pid {})", ::getpid());
  EXPECT_NE(name_others(path, own->get()).find(self), std::string::npos) << "it waits";
  EXPECT_NE(name_others(link, own->get()).find(self), std::string::npos) << "by another name";
  const Fd first(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const Fd second(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_NE(name_others(path, own->get()).find(self), std::string::npos) << "it is served";
  other->reset();
  EXPECT_EQ(name_others(path, own->get()), "") << "it hung up";
}

}  // namespace
}  // namespace vmcore::qmp
