#include "src/sandbox/messages.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace vmcore::sandbox {
namespace {

using Json = nlohmann::json;

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
constexpr std::size_t kMaxRemarks = 64;
constexpr std::size_t kMaxText = 1024;

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

// Bytes that are no UTF-8 (a path, a guest's release) must not make encoding throw.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json to_json(const Error& error) {
  return {{"code", errc_name(error.code)}, {"text", error.message.substr(0, kMaxText)}};
}

Json to_json(const std::vector<Remark>& remarks) {
  Json list = Json::array();
  for (const Remark& remark : remarks) {
    if (list.size() == kMaxRemarks) {
      list.push_back({{"code", "limit"}, {"text", "further remarks are not shown"}});
      break;
    }
    list.push_back({{"code", errc_name(remark.code)}, {"text", remark.text.substr(0, kMaxText)}});
  }
  return list;
}

Json to_json(const std::vector<BlockPlace>& places) {
  Json list = Json::array();
  for (const BlockPlace& place : places) {
    list.push_back({place.range.begin.value, place.range.size, place.block, place.offset});
  }
  return list;
}

Json to_json(const StreamTerms& terms) {
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

std::vector<BlockPlace> places_from(const Json& json) {
  std::vector<BlockPlace> places;
  for (const Json& entry : json) {
    places.push_back({{{entry.at(0)}, entry.at(1)}, entry.at(2), entry.at(3)});
  }
  return places;
}

Error error_from(const Json& json) {
  return {errc_from_name(json.at("code").get<std::string>()), json.at("text").get<std::string>()};
}

Json to_json(const std::vector<PhysRange>& ranges) {
  Json list = Json::array();
  for (const PhysRange& range : ranges) {
    list.push_back({range.begin.value, range.size});
  }
  return list;
}

bool can_be_memory(const PhysRange& range) {
  return range.size != 0 && range.begin.value < kMaxPhysAddr &&
         range.size <= kMaxPhysAddr - range.begin.value;
}

std::vector<PhysRange> ranges_from(const Json& json) {
  std::vector<PhysRange> ranges;
  for (const Json& entry : json) {
    ranges.push_back({{entry.at(0)}, entry.at(1)});
  }
  return ranges;
}

Json to_json(const InfoPlace& place) {
  return {{"address", place.address.value}, {"build_id", place.build_id}};
}

InfoPlace place_from(const Json& json) {
  return {{json.at("address").get<std::uint64_t>()}, json.at("build_id")};
}

// [begin, size, address or null, file or null, offset]
Json to_json(const std::vector<Piece>& pieces) {
  Json list = Json::array();
  for (const Piece& piece : pieces) {
    const FilePlace place = piece.file.value_or(FilePlace{});
    list.push_back({piece.range.begin.value, piece.range.size,
                    piece.address ? Json(*piece.address) : Json(),
                    piece.file ? Json(place.file) : Json(), place.offset});
  }
  return list;
}

std::vector<Piece> pieces_from(const Json& json) {
  std::vector<Piece> pieces;
  for (const Json& entry : json) {
    Piece piece{.range = {{entry.at(0)}, entry.at(1)}, .address = {}, .file = {}};
    if (!entry.at(2).is_null()) {
      piece.address = entry.at(2).get<std::uint64_t>();
    }
    if (!entry.at(3).is_null()) {
      piece.file = FilePlace{entry.at(3), entry.at(4)};
    }
    pieces.push_back(piece);
  }
  return pieces;
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
    return {{"type", "locate"}, {"blocks", to_json(event.blocks)}};
  }
  Json operator()(const Copy& event) const {
    return {{"type", "copy"}, {"entries", event.entries}};
  }
  Json operator()(const Done& event) const {
    Json classes = Json::array();
    for (const ClassCount& count : event.classes) {
      classes.push_back({{"name", count.name}, {"title", count.title}, {"pages", count.pages}});
    }
    Json json{{"type", "done"},
              {"release", event.release.substr(0, kMaxText)},
              {"level_asked", event.level_asked},
              {"level_reached", event.level_reached},
              {"incomplete", event.incomplete},
              {"ram_pages", event.ram_pages},
              {"kept_pages", event.kept_pages},
              {"lost_pages", event.lost_pages},
              {"crashed", event.crashed},
              {"classes", classes},
              {"remarks", to_json(event.remarks)}};
    if (event.armed) {
      json["armed"] = *event.armed;
    }
    if (event.place) {
      json["place"] = to_json(*event.place);
    }
    return json;
  }
  Json operator()(const Failed& event) const {
    return {{"type", "failed"}, {"error", to_json(event.error)}};
  }
};

Done done_from(const Json& json) {
  Done done{.release = json.at("release"),
            .level_asked = json.at("level_asked"),
            .level_reached = json.at("level_reached"),
            .incomplete = json.at("incomplete"),
            .ram_pages = json.at("ram_pages"),
            .kept_pages = json.at("kept_pages"),
            .lost_pages = json.at("lost_pages"),
            .crashed = json.at("crashed"),
            .classes = {},
            .place = {},
            .remarks = {}};
  if (json.contains("armed")) {
    done.armed = json.at("armed").get<bool>();
  }
  if (json.contains("place")) {
    done.place = place_from(json.at("place"));
  }
  for (const Json& entry : json.at("classes")) {
    done.classes.push_back({entry.at("name"), entry.at("title"), entry.at("pages")});
  }
  for (const Json& entry : json.at("remarks")) {
    Error error = error_from(entry);
    done.remarks.push_back({error.code, std::move(error.message)});
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

// nlohmann reports misfits by exception: they end here. What messages do not have is left out
// before a value is built: deeper nesting, and fractions, which nlohmann would cast to integers
// that may not hold them.
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
  }
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
            {"places", to_json(request.places)},
            {"terms", to_json(request.terms)}};
  if (request.compress_level) {
    json["compress_level"] = *request.compress_level;
  }
  if (request.hint) {
    json["hint"] = to_json(*request.hint);
  }
  if (request.host_event_time) {
    json["host_event_time"] = *request.host_event_time;
  }
  if (request.capture) {
    json["capture"] = {{"method", request.capture->method},
                       {"consistency", request.capture->consistency},
                       {"crash", request.capture->crash}};
  }
  return dump(json);
}

std::string encode(const Event& event) {
  std::string packet = dump(std::visit(EventEncoder{}, event));
  if (packet.size() <= kMaxPacket || !std::holds_alternative<Done>(event)) {
    return packet;
  }
  Done done = std::get<Done>(event);  // its remarks make it that long
  for (std::size_t count = std::min(done.remarks.size(), kMaxRemarks);
       packet.size() > kMaxPacket && count > 0;) {
    count /= 2;
    done.remarks.resize(count);
    done.remarks.push_back({Errc::limit, "further remarks do not fit into a message"});
    packet = dump(EventEncoder{}(done));
  }
  return packet;
}

std::string encode(const Have& have) {
  Json json = Json::object();
  if (have.error) {
    json["error"] = to_json(*have.error);
  }
  return dump(json);
}

std::string encode(const Cost& cost) {
  Json json = Json::object();
  if (cost.pause_us) {
    json["pause_us"] = *cost.pause_us;
  }
  if (cost.host_memory) {
    json["host_memory"] = *cost.host_memory;
  }
  return dump(json);
}

std::string encode(const Located& located) {
  Json json{{"pieces", to_json(located.pieces)}};
  if (located.error) {
    json["error"] = to_json(*located.error);
  }
  return dump(json);
}

Result<Request> decode_request(std::string_view packet) {
  TRY_ASSIGN(Request request, decode<Request>(packet, request_from));
  if (request.hint && !can_be_place(*request.hint)) {
    return fail(Errc::malformed, "worker protocol: a VMCOREINFO where none can be");
  }
  return request;
}

Result<Event> decode_event(std::string_view packet) {
  TRY_ASSIGN(Event event, decode<Event>(packet, event_from));
  const auto* const asked = std::get_if<Locate>(&event);
  if (asked != nullptr &&
      (asked->blocks.size() > kMaxPieces || !std::ranges::all_of(asked->blocks, can_be_memory))) {
    return fail(Errc::malformed, "worker protocol: blocks of memory that cannot be");
  }
  const auto* const done = std::get_if<Done>(&event);
  if (done != nullptr && done->place && !can_be_place(*done->place)) {
    return fail(Errc::malformed, "worker protocol: a VMCOREINFO where none can be");
  }
  return event;
}

Result<Have> decode_have(std::string_view packet) {
  return decode<Have>(packet, [](const Json& json) {
    return json.contains("error") ? Have{error_from(json.at("error"))} : Have{};
  });
}

Result<Cost> decode_cost(std::string_view packet) {
  return decode<Cost>(packet, [](const Json& json) {
    Cost cost;
    if (json.contains("pause_us")) {
      cost.pause_us = json.at("pause_us").get<std::uint64_t>();
    }
    if (json.contains("host_memory")) {
      cost.host_memory = json.at("host_memory").get<std::int64_t>();
    }
    return cost;
  });
}

Result<Located> decode_located(std::string_view packet) {
  return decode<Located>(packet, [](const Json& json) {
    Located located{.error = {}, .pieces = pieces_from(json.at("pieces"))};
    if (json.contains("error")) {
      located.error = error_from(json.at("error"));
    }
    return located;
  });
}

}  // namespace vmcore::sandbox
