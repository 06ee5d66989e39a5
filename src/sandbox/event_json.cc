// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/messages.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "src/report/summary_json.h"
#include "src/sandbox/bounds.h"
#include "src/sandbox/message_json.h"

namespace vmcore::sandbox {
namespace {

Json ranges_json(const std::vector<PhysRange>& ranges) {
  Json list = Json::array();
  for (const PhysRange& range : ranges) {
    list.push_back({range.begin.value, range.size});
  }
  return list;
}

std::vector<PhysRange> ranges_from(const Json& json) {
  std::vector<PhysRange> ranges;
  for (const Json& entry : json) {
    ranges.push_back({{entry.at(0)}, entry.at(1)});
  }
  return ranges;
}

bool can_be_memory(const PhysRange& range) {
  return range.size != 0 && range.begin.value < kMaxPhysAddr &&
         range.size <= kMaxPhysAddr - range.begin.value;
}

struct EventEncoder {
  Json operator()(const Progress& event) const {
    return {{"type", "progress"}, {"done", event.done}, {"all", event.all}};
  }
  Json operator()(const Spooling& event) const {
    return {{"type", "spooling"}, {"bytes", event.bytes}};
  }
  Json operator()(const SourceRead&) const { return {{"type", "source_read"}}; }
  Json operator()(const Hello& event) const {
    return {{"type", "hello"},
            {"release", event.release.substr(0, kMaxText)},
            {"tag", event.tag.substr(0, kMaxText)},
            {"ram_bytes", event.ram_bytes},
            {"encrypted", event.encrypted},
            {"pstore", event.pstore}};
  }
  Json operator()(const LogRead& event) const {
    return {
        {"type", "log_read"}, {"bytes", event.bytes}, {"panic", event.panic.substr(0, kMaxText)}};
  }
  Json operator()(const Ready& event) const {
    return {{"type", "ready"}, {"pause_us", event.pause_us}, {"kept_pages", event.kept_pages}};
  }
  Json operator()(const Want& event) const {
    return {{"type", "want"}, {"begin", event.range.begin.value}, {"size", event.range.size}};
  }
  Json operator()(const Locate& event) const {
    return {{"type", "locate"}, {"blocks", ranges_json(event.blocks)}};
  }
  Json operator()(const Copy& event) const {
    return {{"type", "copy"}, {"entries", event.entries}};
  }
  Json operator()(const Done& event) const {
    Json json = report::summary_json(event.summary);
    json["type"] = "done";
    if (event.place) {
      json["place"] = place_json(*event.place);
    }
    return json;
  }
  Json operator()(const Failed& event) const {
    return {{"type", "failed"}, {"error", error_json(event.error)}};
  }
};

Done done_from(const Json& json) {
  Done done{.summary = report::summary_from(report::Members(json))};
  if (json.contains("place")) {
    done.place = place_from(json.at("place"));
  }
  return done;
}

Event event_from(const Json& json) {
  const std::string type = json.at("type");
  if (type == "progress") {
    return Progress{json.at("done"), json.at("all")};
  }
  if (type == "spooling") {
    return Spooling{json.at("bytes")};
  }
  if (type == "source_read") {
    return SourceRead{};
  }
  if (type == "hello") {
    return Hello{.release = json.at("release"),
                 .tag = json.at("tag"),
                 .ram_bytes = json.at("ram_bytes"),
                 .encrypted = json.at("encrypted"),
                 .pstore = json.at("pstore")};
  }
  if (type == "log_read") {
    return LogRead{.bytes = json.at("bytes"), .panic = json.at("panic")};
  }
  if (type == "ready") {
    return Ready{json.at("pause_us"), json.at("kept_pages")};
  }
  if (type == "want") {
    return Want{{PhysAddr{json.at("begin")}, json.at("size")}};
  }
  if (type == "locate") {
    return Locate{ranges_from(json.at("blocks"))};
  }
  if (type == "copy") {
    return Copy{json.at("entries")};
  }
  if (type == "done") {
    return done_from(json);
  }
  return Failed{error_from(json.at("error"))};
}

}  // namespace

std::string encode(const Event& event) {
  std::string packet = packet_of(std::visit(EventEncoder{}, event));
  if (packet.size() <= kMaxPacket || !std::holds_alternative<Done>(event)) {
    return packet;
  }
  Done done = std::get<Done>(event);
  std::vector<Remark>& remarks = done.summary.remarks;  // they make it that long
  for (std::size_t count = std::min(remarks.size(), report::kMaxRemarks);
       packet.size() > kMaxPacket && count > 0;) {
    count /= 2;
    remarks.resize(count);
    remarks.push_back({Errc::limit, "further remarks do not fit into a message", Severity::fact});
    packet = packet_of(EventEncoder{}(done));
  }
  return packet;
}

Result<Event> decode_event(std::string_view packet) {
  TRY_ASSIGN(Event event, decode<Event>(packet, event_from));
  const auto* const asked = std::get_if<Locate>(&event);
  if (asked != nullptr &&
      (asked->blocks.size() > kMaxPieces || !std::ranges::all_of(asked->blocks, can_be_memory))) {
    return fail(Errc::malformed, "worker protocol: impossible blocks of memory");
  }
  const auto* const want = std::get_if<Want>(&event);
  if (want != nullptr && (want->range.size > kMostWanted || !can_be_memory(want->range))) {
    return fail(Errc::malformed, "worker protocol: an impossible range of memory");
  }
  const auto* const done = std::get_if<Done>(&event);
  if (done != nullptr && done->place && !can_be_place(*done->place)) {
    return fail(Errc::malformed, "worker protocol: an impossible place of VMCOREINFO");
  }
  return event;
}

}  // namespace vmcore::sandbox
