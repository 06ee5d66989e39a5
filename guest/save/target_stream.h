// What the targets that take a guest's stream share.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>

#include "guest/save/line.h"
#include "guest/save/target.h"
#include "src/formats/guest_stream/writer.h"

namespace vmcore::guest::save {

// Errc::denied where the key that streams are sealed to is not known.
Result<> check_key(const config::CaptureConfig& config);

// The same, and Errc::denied of a guest whose memory is encrypted so (encrypted_memory.h), where
// what it sends is not sealed: its host would see it.
Result<> check_may_be_seen(const config::CaptureConfig& config, std::string_view encryption);

// Sends by `send`, sealed where that is configured, but for `crash_time` (sealed_stream.h).
Result<formats::SendFrame> sealed_as_configured(const config::CaptureConfig& config,
                                                formats::SendFrame send,
                                                std::optional<std::uint64_t> crash_time = {});

// What a target does while its stream goes out.
struct StreamSteps {
  std::uint64_t most_log = std::numeric_limits<std::uint64_t>::max();  // bytes, of the newest of it
  std::function<Result<>()> log_is_out = {};  // an error ends the stream there, and is its reason
  std::function<void()> log_pages_are_out = {};
};

// hello, the log, and then what is planned and kept; sealed, where that is configured.
Result<convert::Outcome> send_stream(formats::SendFrame send, const Crash& crash,
                                     const StreamSteps& steps = {});

// The same over a line to the host, once somebody listens. Where it may not be seen,
// the host gets a hello that says so, and nothing else.
Result<convert::Outcome> send_to_host(const Line& line, const Crash& crash);

// A connection for a Line; Errc::io where there may be one later.
using Connect = std::function<Result<Fd>()>;
// The same over connections: who takes one stream each listens anew for the next, so as long as a
// listener is waited for another is tried where none is to be had or one breaks.
Result<convert::Outcome> send_to_host(const Connect& connect, const Crash& crash);

}  // namespace vmcore::guest::save
