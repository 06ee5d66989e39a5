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

}  // namespace vmcore::sandbox
