// SPDX-License-Identifier: GPL-2.0-or-later
// Target tcp, on the loopback interface.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <csignal>
#include <thread>

#include "src/base/sys.h"
#include "src/formats/guest_stream/reader.h"
#include "src/formats/guest_stream/sealed_stream.h"
#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest::save {
namespace {

const std::array<unsigned char, 32> kKey{1, 2, 3};

struct Pages : formats::GuestStreamSink {
  Result<> hello(const formats::GuestHello&) override { return {}; }
  Result<> log(std::string_view) override { return {}; }
  Result<> pages(Pfn, std::span<const std::byte>) override { return {}; }
};

class Listener {
 public:
  Listener() {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen();
  }
  // At the same port, once more.
  void listen() {
    socklen_t size = sizeof address_;
    auto* const generic = reinterpret_cast<sockaddr*>(&address_);
    const int yes = 1;
    fd_ = Fd(::socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
    EXPECT_EQ(::bind(fd_.get(), generic, size), 0);
    EXPECT_EQ(::listen(fd_.get(), 1), 0);
    EXPECT_EQ(::getsockname(fd_.get(), generic, &size), 0);
    where = fmt::format("127.0.0.1:{}", ntohs(address_.sin_port));
  }
  // Hangs up on who has spoken, and reads nothing.
  void hang_up() const {
    const Fd line = accept();
    pollfd ready{line.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 10'000), 1);
  }
  Result<formats::GuestStream> receive() {
    const Fd line = accept();
    TRY_ASSIGN(auto read,
               formats::open_sealed(
                   [&](std::span<std::byte> out) { return sys::read_some(line.get(), out); },
                   seal::SecretKey(kKey)));
    Pages sink;
    return formats::read_guest_stream(std::move(read), sink, {});
  }
  void stop() { fd_.reset(); }

  std::string where;

 private:
  Fd accept() const {
    pollfd ready{fd_.get(), POLLIN, 0};
    return Fd(::poll(&ready, 1, 20'000) == 1 ? ::accept(fd_.get(), nullptr, nullptr) : -1);
  }

  sockaddr_in address_{};
  Fd fd_;
};

TEST(TargetTcp, WhatArrivesIsSealed) {
  std::signal(SIGPIPE, SIG_IGN);
  Listener listener;
  Result<formats::GuestStream> stream = fail(Errc::not_found, "nothing came");
  std::thread host([&] { stream = listener.receive(); });
  SavedGuest guest;
  guest.config.encrypt_to = seal::SecretKey(kKey).public_key();
  const auto saved = save_to_tcp(listener.where, guest.crash());
  host.join();
  ASSERT_TRUE(saved) << saved.error().message;
  ASSERT_TRUE(stream) << stream.error().message;
  EXPECT_EQ(stream->hello.release, "6.12.0-test");
  EXPECT_EQ(stream->broken, "");
  EXPECT_EQ(stream->had.count(), saved->outcome.plan.kept_pages);
}

// As `vmcorectl receive` does, which takes one stream and is started anew.
TEST(TargetTcp, AListenerThatComesBackGetsAllOfIt) {
  std::signal(SIGPIPE, SIG_IGN);
  Listener listener;
  Result<formats::GuestStream> stream = fail(Errc::not_found, "nothing came");
  std::thread host([&] {
    listener.hang_up();
    listener.stop();
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    listener.listen();
    stream = listener.receive();
  });
  SavedGuest guest;
  guest.listener_wait = std::chrono::seconds(20);
  guest.config.encrypt_to = seal::SecretKey(kKey).public_key();
  const auto saved = save_to_tcp(listener.where, guest.crash());
  host.join();
  ASSERT_TRUE(saved) << saved.error().message;
  ASSERT_TRUE(stream) << stream.error().message;
  EXPECT_EQ(stream->broken, "");
  EXPECT_EQ(stream->had.count(), saved->outcome.plan.kept_pages);
}

TEST(TargetTcp, NothingGoesUnsealed) {
  Listener listener;
  SavedGuest guest;
  EXPECT_EQ(save_to_tcp(listener.where, guest.crash()).error().code, Errc::denied);
}

TEST(TargetTcp, NobodyThereIsAnError) {
  Listener listener;
  listener.stop();
  SavedGuest guest;
  guest.config.encrypt_to = seal::SecretKey(kKey).public_key();
  const auto saved = save_to_tcp(listener.where, guest.crash());
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().message, listener.where + ": Connection refused");
}

}  // namespace
}  // namespace vmcore::guest::save
