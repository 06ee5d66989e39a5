#include "src/sandbox/messages.h"

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/sandbox/message_json.h"

namespace vmcore::sandbox {
namespace {

constexpr std::array kOperations{
    std::pair{Operation::convert, "convert"}, std::pair{Operation::info, "info"},
    std::pair{Operation::dmesg, "dmesg"}, std::pair{Operation::memory, "memory"}};
constexpr std::array kInputs{std::pair{InputKind::file, "file"},
                             std::pair{InputKind::stream, "stream"},
                             std::pair{InputKind::fetch, "fetch"},
                             std::pair{InputKind::process, "process"},
                             std::pair{InputKind::live, "live"},
                             std::pair{InputKind::snapshot, "snapshot"},
                             std::pair{InputKind::guest_stream, "guest_stream"}};

template <class Table, class Value>
const char* name_of(const Table& table, Value value) {
  for (const auto& [known, name] : table) {
    if (known == value) {
      return name;
    }
  }
  return "";
}

template <class Table>
auto value_of(const Table& table, const std::string& name)
    -> std::optional<typename Table::value_type::first_type> {
  for (const auto& [value, known] : table) {
    if (name == known) {
      return value;
    }
  }
  return std::nullopt;
}

Json places_json(const std::vector<BlockPlace>& places) {
  Json list = Json::array();
  for (const BlockPlace& place : places) {
    list.push_back({place.range.begin.value, place.range.size, place.block, place.offset});
  }
  return list;
}

std::vector<BlockPlace> places_from(const Json& json) {
  std::vector<BlockPlace> places;
  for (const Json& entry : json) {
    places.push_back({{{entry.at(0)}, entry.at(1)}, entry.at(2), entry.at(3)});
  }
  return places;
}

Json terms_json(const StreamTerms& terms) {
  return {{"most_ram", terms.most_ram},       {"most_kept", terms.most_kept},
          {"wait_ms", terms.wait_ms},         {"idle_ms", terms.idle_ms},
          {"deadline_ms", terms.deadline_ms}, {"sealed", terms.sealed}};
}

StreamTerms terms_from(const Json& json) {
  return {.most_ram = json.at("most_ram"),
          .most_kept = json.at("most_kept"),
          .wait_ms = json.at("wait_ms"),
          .idle_ms = json.at("idle_ms"),
          .deadline_ms = json.at("deadline_ms"),
          .sealed = json.at("sealed")};
}

Request request_from(const Json& json) {
  Request request;
  request.operation = value_of(kOperations, json.at("operation")).value_or(Operation::convert);
  request.input = value_of(kInputs, json.at("input")).value_or(InputKind::file);
  request.level = json.at("level");
  request.format = json.at("format");
  request.codec = json.at("codec");
  request.threads = json.at("threads");
  request.dry_run = json.at("dry_run");
  request.verify = json.at("verify");
  request.search_memory = json.at("search_memory");
  request.bandwidth = json.at("bandwidth");
  request.torn = json.at("torn");
  request.draft = json.at("draft");
  request.places = places_from(json.at("places"));
  request.terms = terms_from(json.at("terms"));
  if (json.contains("compress_level")) {
    request.compress_level = json.at("compress_level");
  }
  if (json.contains("hint")) {
    request.hint = place_from(json.at("hint"));
  }
  if (json.contains("host_event_time")) {
    request.host_event_time = json.at("host_event_time");
  }
  if (json.contains("capture")) {
    const Json& capture = json.at("capture");
    request.capture = Capture{capture.at("method"), capture.at("consistency"), capture.at("crash")};
  }
  return request;
}

}  // namespace

std::string encode(const Request& request) {
  Json json{{"operation", name_of(kOperations, request.operation)},
            {"input", name_of(kInputs, request.input)},
            {"level", request.level},
            {"format", request.format},
            {"codec", request.codec},
            {"threads", request.threads},
            {"dry_run", request.dry_run},
            {"verify", request.verify},
            {"search_memory", request.search_memory},
            {"bandwidth", request.bandwidth},
            {"torn", request.torn},
            {"draft", request.draft},
            {"places", places_json(request.places)},
            {"terms", terms_json(request.terms)}};
  if (request.compress_level) {
    json["compress_level"] = *request.compress_level;
  }
  if (request.hint) {
    json["hint"] = place_json(*request.hint);
  }
  if (request.host_event_time) {
    json["host_event_time"] = *request.host_event_time;
  }
  if (request.capture) {
    json["capture"] = {{"method", request.capture->method},
                       {"consistency", request.capture->consistency},
                       {"crash", request.capture->crash}};
  }
  return packet_of(json);
}

Result<Request> decode_request(std::string_view packet) {
  TRY_ASSIGN(Request request, decode<Request>(packet, request_from));
  if (request.hint && !can_be_place(*request.hint)) {
    return fail(Errc::malformed, "worker protocol: a VMCOREINFO where none can be");
  }
  return request;
}

}  // namespace vmcore::sandbox
