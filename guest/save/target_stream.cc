// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/target_stream.h"

#include <thread>

#include "src/formats/guest_stream/sealed_stream.h"

namespace vmcore::guest::save {
namespace {

constexpr std::chrono::seconds kGoodbyeWait{10};
constexpr std::chrono::milliseconds kConnectStep{500};

formats::GuestHello hello_of(const Crash& crash) {
  formats::GuestHello hello;
  hello.release = crash.report.release;
  hello.tag = crash.config.tag;
  hello.level = crash.config.level;
  hello.crash_time = crash.report.crash_time;
  hello.ram = ram_ranges(*crash.image.memory);
  return hello;
}

Result<> refuse(const formats::SendFrame& send, const Crash& crash, const Error& error) {
  formats::GuestStreamWriter writer(send, formats::random_stream_id());
  formats::GuestHello hello;
  hello.tag = crash.config.tag;
  hello.encrypted_memory = !crash.encryption.empty();
  TRY(writer.hello(hello));
  TRY(writer.abort(error.message));
  return tl::unexpected(error);
}

Result<convert::Outcome> send_over(const Line& line, const Crash& crash) {
  const formats::SendFrame send = [&line](std::span<const std::byte> frame) {
    return line.send(frame);
  };
  if (const Result<> may = check_may_be_seen(crash.config, crash.encryption); !may) {
    TRY(refuse(send, crash, may.error()));
  }
  TRY_ASSIGN(convert::Outcome outcome, send_stream(send, crash));
  TRY_ASSIGN(const bool has_all, line.wait_for_goodbye(kGoodbyeWait));
  if (!has_all) {
    crash.say("the host did not confirm that it has received everything");
  }
  return outcome;
}

}  // namespace

Result<> check_key(const config::CaptureConfig& config) {
  return config.sealed_to_nobody
             ? fail(Errc::denied, "the key in encrypt-to is invalid: nothing is sent unsealed")
             : Result<>();
}

Result<> check_may_be_seen(const config::CaptureConfig& config, std::string_view encryption) {
  TRY(check_key(config));
  if (!encryption.empty() && !config.encrypt_to) {
    return fail(Errc::denied,
                "this guest's memory is encrypted ({}): its dump must be sealed against the host; "
                "set encrypt-to to a key",
                encryption);
  }
  return {};
}

Result<formats::SendFrame> sealed_as_configured(const config::CaptureConfig& config,
                                                formats::SendFrame send,
                                                std::optional<std::uint64_t> crash_time) {
  TRY(check_key(config));
  return config.encrypt_to ? formats::sealed_to(*config.encrypt_to, std::move(send), crash_time)
                           : send;
}

Result<convert::Outcome> send_stream(formats::SendFrame send, const Crash& crash,
                                     const StreamSteps& steps) {
  TRY_ASSIGN(send, sealed_as_configured(crash.config, std::move(send), crash.report.crash_time));
  formats::GuestStreamWriter writer(std::move(send), formats::random_stream_id());
  TRY(writer.hello(hello_of(crash)));
  TRY(writer.log(newest_lines(crash.report.dmesg, steps.most_log)));
  const Result<> go_on = steps.log_is_out ? steps.log_is_out() : Result<>();
  crash.on_reading = [&writer] { writer.alive(); };
  auto outcome =
      go_on ? write_dump(writer, crash, {.check_room = steps.check_room, .codec = Codec::zstd})
            : tl::unexpected(go_on.error());
  crash.on_reading = nullptr;
  if (!outcome) {
    static_cast<void>(writer.abort(outcome.error().message));  // fails if the connection is broken
  }
  return outcome;
}

Result<convert::Outcome> send_to_host(const Line& line, const Crash& crash) {
  TRY(line.wait_for_host(crash.listener_wait));
  return send_over(line, crash);
}

Result<convert::Outcome> send_to_host(const Connect& connect, const Crash& crash) {
  for (const Clock::time_point until = Clock::now() + crash.listener_wait;;) {
    auto outcome = connect().and_then(
        [&](Fd fd) { return send_over(Line(std::move(fd), crash.heartbeat), crash); });
    if (outcome || outcome.error().code != Errc::io || Clock::now() >= until) {
      return outcome;
    }
    crash.heartbeat();
    std::this_thread::sleep_for(kConnectStep);
  }
}

}  // namespace vmcore::guest::save
