// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/message_json.h"

namespace vmcore::sandbox {

std::string packet_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json error_json(const Error& error) {
  return {{"code", errc_name(error.code)}, {"text", error.message.substr(0, kMaxText)}};
}

Error error_from(const Json& json) {
  return {errc_from_name(json.at("code").get<std::string>()), json.at("text").get<std::string>()};
}

Json place_json(const InfoPlace& place) {
  return {{"address", place.address.value}, {"build_id", place.build_id}};
}

InfoPlace place_from(const Json& json) {
  return {{json.at("address").get<std::uint64_t>()}, json.at("build_id")};
}

Json cost_json(const CaptureCost& cost) {
  Json json = Json::object();
  const auto add = [&json](const char* key, const auto& value) {
    if (value) {
      json[key] = *value;
    }
  };
  add("time", cost.time);
  add("forecast_us", cost.forecast_us);
  add("pause_us", cost.pause_us);
  add("host_memory", cost.host_memory);
  add("duration_us", cost.duration_us);
  return json;
}

CaptureCost cost_from(const Json& json) {
  const report::Members members(json);
  CaptureCost cost{.time = members.maybe_number("time"),
                   .forecast_us = members.maybe_number("forecast_us"),
                   .pause_us = members.maybe_number("pause_us"),
                   .duration_us = members.maybe_number("duration_us")};
  if (members.has("host_memory")) {
    cost.host_memory = members.signed_number("host_memory");
  }
  return cost;
}

}  // namespace vmcore::sandbox
