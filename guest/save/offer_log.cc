// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/offer_log.h"

#include <chrono>
#include <string>

#include "guest/save/encrypted_memory.h"
#include "guest/save/line.h"
#include "guest/save/port.h"
#include "guest/save/target_stream.h"
#include "src/formats/guest_stream/writer.h"

namespace vmcore::guest::save {

Result<> offer_log(std::string_view log, const config::CaptureConfig& config) {
  constexpr std::chrono::seconds kListenerWait{1};
  constexpr std::chrono::seconds kGoodbyeWait{10};
  TRY(check_may_be_seen(config, memory_encryption()));
  TRY_ASSIGN(Fd port, open_port(std::string(config::kPortName)));
  const Heartbeat nobody{Fd()};
  const Line line(std::move(port), nobody);
  TRY(line.wait_for_host(kListenerWait));
  TRY_ASSIGN(formats::SendFrame send,
             sealed_as_configured(
                 config, [&line](std::span<const std::byte> frame) { return line.send(frame); }));
  formats::GuestStreamWriter writer(std::move(send), formats::random_stream_id());
  formats::GuestHello hello;
  hello.pstore = true;
  TRY(writer.hello(hello));
  TRY(writer.log(log));
  TRY(writer.finish(false));
  line.wait_for_goodbye(kGoodbyeWait);
  return {};
}

}  // namespace vmcore::guest::save
