// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "src/report/capture_json.h"
#include "src/sandbox/message_json.h"
#include "src/sandbox/messages.h"

namespace vmcore::sandbox {
namespace {

constexpr std::array<std::pair<Operation, std::string_view>, 10> kOperations{
    {{Operation::convert, "convert"},
     {Operation::info, "info"},
     {Operation::dmesg, "dmesg"},
     {Operation::callers, "callers"},
     {Operation::memory, "memory"},
     {Operation::report, "report"},
     {Operation::symbols, "symbols"},
     {Operation::page, "page"},
     {Operation::log, "log"},
     {Operation::nothing, "nothing"}}};

std::string_view name_of(Operation operation) {
  return std::ranges::find(kOperations, operation, [](auto& row) { return row.first; })->second;
}

Result<Operation> operation_from(const Json& json) {
  const auto name = json.get<std::string>();
  for (const auto& [operation, known] : kOperations) {
    if (known == name) {
      return operation;
    }
  }
  return fail(Errc::malformed, "worker protocol: unknown operation \"{}\"", name);
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

Json input_json(const FileInput&) { return {{"kind", "file"}}; }
Json input_json(const StreamInput&) { return {{"kind", "stream"}}; }
Json input_json(const FetchedInput&) { return {{"kind", "fetched"}}; }
Json input_json(const ProcessInput& input) {
  return {{"kind", "process"},
          {"torn", input.torn},
          {"rehearsal", input.rehearsal},
          {"copied", input.copied}};
}
Json input_json(const LiveInput& input) { return {{"kind", "live"}, {"torn", input.torn}}; }
Json input_json(const SnapshotInput& input) {
  return {{"kind", "snapshot"}, {"places", places_json(input.places)}};
}
Json input_json(const GuestStreamInput& input) {
  return {{"kind", "guest_stream"},
          {"most_ram", input.terms.most_ram},
          {"most_kept", input.terms.most_kept},
          {"wait_ms", input.terms.wait_ms},
          {"idle_ms", input.terms.idle_ms},
          {"deadline_ms", input.terms.deadline_ms}};
}

Result<Input> input_from(const Json& json) {
  const auto kind = json.at("kind").get<std::string>();
  if (kind == "file") {
    return FileInput{};
  }
  if (kind == "stream") {
    return StreamInput{};
  }
  if (kind == "fetched") {
    return FetchedInput{};
  }
  if (kind == "process") {
    return ProcessInput{
        .torn = json.at("torn"), .rehearsal = json.at("rehearsal"), .copied = json.at("copied")};
  }
  if (kind == "live") {
    return LiveInput{.torn = json.at("torn")};
  }
  if (kind == "snapshot") {
    return SnapshotInput{places_from(json.at("places"))};
  }
  if (kind == "guest_stream") {
    return GuestStreamInput{{.most_ram = json.at("most_ram"),
                             .most_kept = json.at("most_kept"),
                             .wait_ms = json.at("wait_ms"),
                             .idle_ms = json.at("idle_ms"),
                             .deadline_ms = json.at("deadline_ms")}};
  }
  return fail(Errc::malformed, "worker protocol: unknown input \"{}\"", kind);
}

Json conversion_json(const Conversion& how) {
  Json json{{"level", how.level},
            {"format", format_name(how.format)},
            {"codec", codec_name(how.codec)},
            {"threads", how.threads},
            {"bandwidth", how.bandwidth},
            {"dry_run", how.dry_run},
            {"verify", how.verify}};
  if (how.compress_level) {
    json["compress_level"] = *how.compress_level;
  }
  return json;
}

Result<Conversion> conversion_from(const Json& json) {
  const auto format = format_from_name(json.at("format").get<std::string>());
  const auto codec = codec_from_name(json.at("codec").get<std::string>());
  if (!format || !codec) {
    return fail(Errc::malformed, "worker protocol: unknown format or codec");
  }
  Conversion how{.level = json.at("level"),
                 .format = *format,
                 .codec = *codec,
                 .threads = json.at("threads"),
                 .bandwidth = json.at("bandwidth"),
                 .dry_run = json.at("dry_run"),
                 .verify = json.at("verify")};
  if (json.contains("compress_level")) {
    how.compress_level = json.at("compress_level");
  }
  return how;
}

Result<Request> request_from(const Json& json) {
  Request request;
  TRY_ASSIGN(request.operation, operation_from(json.at("operation")));
  TRY_ASSIGN(request.input, input_from(json.at("input")));
  request.ram = json.at("ram");
  TRY_ASSIGN(request.how, conversion_from(json.at("how")));
  request.search_memory = json.at("search_memory");
  request.descriptors = json.at("descriptors");
  if (json.contains("hint")) {
    request.hint = place_from(json.at("hint"));
  }
  if (json.contains("host_event_time")) {
    request.host_event_time = json.at("host_event_time");
  }
  if (json.contains("capture")) {
    const Json& capture = json.at("capture");
    request.capture = report::capture_from(report::Members(capture));
    request.capture->cost = cost_from(capture.at("cost"));
  }
  return request;
}

}  // namespace

bool is_torn(const Request& request) {
  const auto* const process = std::get_if<ProcessInput>(&request.input);
  const auto* const live = std::get_if<LiveInput>(&request.input);
  return (process != nullptr && process->torn) || (live != nullptr && live->torn);
}

std::string encode(const Request& request) {
  Json json{
      {"operation", name_of(request.operation)},
      {"input", std::visit([](const auto& input) { return input_json(input); }, request.input)},
      {"ram", request.ram},
      {"how", conversion_json(request.how)},
      {"search_memory", request.search_memory},
      {"descriptors", request.descriptors}};
  if (request.hint) {
    json["hint"] = place_json(*request.hint);
  }
  if (request.host_event_time) {
    json["host_event_time"] = *request.host_event_time;
  }
  if (request.capture) {
    Json capture = report::capture_json(*request.capture);
    capture["cost"] = cost_json(request.capture->cost);
    json["capture"] = std::move(capture);
  }
  return packet_of(json);
}

Result<Request> decode_request(std::string_view packet) {
  TRY_ASSIGN(Request request, decode<Request>(packet, request_from));
  if (request.hint && !can_be_place(*request.hint)) {
    return fail(Errc::malformed, "worker protocol: an impossible place of VMCOREINFO");
  }
  return request;
}

}  // namespace vmcore::sandbox
