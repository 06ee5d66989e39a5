// Target tcp, on the loopback interface.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <thread>

#include "src/base/sys.h"
#include "src/formats/guest_stream_reader.h"
#include "src/formats/sealed_stream.h"
#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest {
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
    sockaddr_in address{};
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(fd_.get(), generic, size), 0);
    EXPECT_EQ(::listen(fd_.get(), 1), 0);
    EXPECT_EQ(::getsockname(fd_.get(), generic, &size), 0);
    where = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  }
  Result<formats::GuestStream> receive() {
    const Fd line(::accept(fd_.get(), nullptr, nullptr));
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
  Fd fd_{::socket(AF_INET, SOCK_STREAM, 0)};
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
}  // namespace vmcore::guest
