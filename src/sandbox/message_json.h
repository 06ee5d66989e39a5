// SPDX-License-Identifier: GPL-2.0-or-later
// What the files of the messages (request_json.cc, event_json.cc, answer_json.cc) share: values
// that more than one of them has, and a packet's text. x_from() throws where the JSON is no x: it
// is called within decode().
#pragma once

#include <string>
#include <string_view>

#include "src/base/result.h"
#include "src/image/capture.h"
#include "src/image/info_place.h"
#include "src/report/json.h"

namespace vmcore::sandbox {

using report::Json;

// Bytes; text beyond it is cut.
inline constexpr std::size_t kMaxText = 1024;

// Bytes that are no UTF-8 (a path, a guest's release) must not make encoding throw.
std::string packet_of(const Json& json);

Json error_json(const Error& error);
Error error_from(const Json& json);

Json place_json(const InfoPlace& place);
InfoPlace place_from(const Json& json);

// In whole microseconds: messages have no fractions.
Json cost_json(const CaptureCost& cost);
CaptureCost cost_from(const Json& json);

// What `build` makes of the packet. Misfits are exceptions, which end here. What
// messages do not have is left out before a value is built: deeper nesting, and fractions, which
// nlohmann would cast to integers that may not hold them.
template <class Message, class Build>
Result<Message> decode(std::string_view packet, Build build) {
  constexpr int kMaxDepth = 4;
  try {
    const Json json = Json::parse(packet, [](int depth, Json::parse_event_t, const Json& value) {
      return depth <= kMaxDepth && !value.is_number_float();
    });
    return build(json);
  } catch (const Json::exception& error) {
    return fail(Errc::malformed, "worker protocol: {}", error.what());
  } catch (const report::Misfit& misfit) {
    return fail(Errc::malformed, "worker protocol: {}", misfit.what());
  }
}

}  // namespace vmcore::sandbox
