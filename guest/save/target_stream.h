// SPDX-License-Identifier: GPL-2.0-or-later
// Shared by the targets that send a stream.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>

#include "guest/save/line.h"
#include "guest/save/target.h"
#include "src/formats/guest_stream/writer.h"

namespace vmcore::guest::save {

// Errc::denied if the configured key could not be parsed (sealed_to_nobody).
Result<> check_key(const config::CaptureConfig& config);

// The same; also Errc::denied if the memory of the guest is encrypted (`encryption`,
// encrypted_memory.h) and no key is configured, because its host would see the stream.
Result<> check_may_be_seen(const config::CaptureConfig& config, std::string_view encryption);

// Wraps `send` to seal the stream if a key is configured. `crash_time` stays visible
// (formats/guest_stream/sealed_stream.h).
Result<formats::SendFrame> sealed_as_configured(const config::CaptureConfig& config,
                                                formats::SendFrame send,
                                                std::optional<std::uint64_t> crash_time = {});

// What a target does at points of its stream.
struct StreamSteps {
  std::uint64_t most_log =
      std::numeric_limits<std::uint64_t>::max();  // bytes; the newest part is sent
  std::function<Result<>()> log_is_out = {};  // an error aborts the stream with it as the reason
  CheckRoom check_room = {};                  // the same; before the first page
};

// Sends the hello, the log, and the pages of the plan; sealed if a key is configured.
Result<convert::Outcome> send_stream(formats::SendFrame send, const Crash& crash,
                                     const StreamSteps& steps = {});

// The same over a line to the host, once a process there listens. If the host may not see the
// stream (check_may_be_seen), sends it only a hello that says so.
Result<convert::Outcome> send_to_host(const Line& line, const Crash& crash);

// Opens a connection for a Line. Errc::io if a later attempt may succeed.
using Connect = std::function<Result<Fd>()>;
// The same over connections. A listener that takes one stream at a time is started again for the
// next, so a failed or broken connection is tried again until listener_wait is over.
Result<convert::Outcome> send_to_host(const Connect& connect, const Crash& crash);

}  // namespace vmcore::guest::save
