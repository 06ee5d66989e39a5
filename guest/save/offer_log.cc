#include "guest/save/offer_log.h"

#include <chrono>
#include <string>

#include "guest/config/capture_config.h"
#include "guest/save/encrypted_memory.h"
#include "guest/save/line.h"
#include "guest/save/port.h"
#include "src/formats/guest_stream_writer.h"

namespace vmcore::guest {

Result<> offer_log(std::string_view log) {
  constexpr std::chrono::seconds kListenerWait{1};
  constexpr std::chrono::seconds kGoodbyeWait{10};
  if (const std::string_view encryption = memory_encryption(); !encryption.empty()) {
    return fail(Errc::denied, "this guest's memory is encrypted ({})", encryption);
  }
  TRY_ASSIGN(Fd port, open_port(std::string(kPortName)));
  const Beat nobody{Fd()};
  const Line line(std::move(port), nobody);
  TRY(line.wait_for_host(kListenerWait));
  formats::GuestStreamWriter writer(
      [&line](std::span<const std::byte> frame) { return line.send(frame); },
      formats::random_stream_id());
  formats::GuestHello hello;
  hello.pstore = true;
  TRY(writer.hello(hello));
  TRY(writer.log(log));
  TRY(writer.finish(false));
  line.wait_for_goodbye(kGoodbyeWait);
  return {};
}

}  // namespace vmcore::guest
