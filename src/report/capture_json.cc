// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/capture_json.h"

#include <cmath>

namespace vmcore::report {
namespace {

void add_text(Json& json, const char* key, const std::string& text) {
  if (!text.empty()) {
    json[key] = cut(text, kMaxName);
  }
}

void add_milliseconds(Json& json, const char* key, const std::optional<std::uint64_t>& time_us) {
  if (time_us) {
    json[key] = static_cast<double>(*time_us) / 1000;
  }
}

std::optional<std::uint64_t> microseconds_from(const Members& json, const char* key) {
  if (!json.has(key)) {
    return std::nullopt;
  }
  const double time_us = json.fraction(key) * 1000;
  constexpr double kMax = 1e15;  // a double holds each whole number up to there
  if (time_us < 0 || time_us > kMax) {
    throw Misfit(fmt::format("\"{}\" is not a time", key));
  }
  return static_cast<std::uint64_t>(std::llround(time_us));
}

}  // namespace

void add_identity(Json& json, const GuestIdentity& guest) {
  add_text(json, "name", guest.name);
  add_text(json, "uuid", guest.uuid);
  add_text(json, "host", guest.host);
  add_text(json, "qemu", guest.qemu);
}

GuestIdentity identity_from(const Members& json) {
  return {.name = json.text_or_empty("name", kMaxName),
          .uuid = json.text_or_empty("uuid", kMaxName),
          .host = json.text_or_empty("host", kMaxName),
          .qemu = json.text_or_empty("qemu", kMaxName)};
}

void add_cost(Json& json, const CaptureCost& cost) {
  if (cost.time) {
    json["time"] = *cost.time;
  }
  add_milliseconds(json, "pause_forecast_ms", cost.forecast_us);
  add_milliseconds(json, "pause_ms", cost.pause_us);
  if (cost.host_memory) {
    json["host_memory"] = *cost.host_memory;
  }
  add_milliseconds(json, "duration_ms", cost.duration_us);
}

CaptureCost cost_from(const Members& json) {
  CaptureCost cost{.time = json.maybe_number("time"),
                   .forecast_us = microseconds_from(json, "pause_forecast_ms"),
                   .pause_us = microseconds_from(json, "pause_ms"),
                   .duration_us = microseconds_from(json, "duration_ms")};
  if (json.has("host_memory")) {
    cost.host_memory = json.signed_number("host_memory");
  }
  return cost;
}

Json capture_json(const Capture& capture) {
  Json json{{"method", cut(capture.method, kMaxName)},
            {"consistency", cut(capture.consistency, kMaxName)}};
  add_text(json, "crash", capture.crash);
  add_text(json, "tag", capture.tag);
  Json guest = Json::object();
  add_identity(guest, capture.guest);
  if (!guest.empty()) {
    json["guest"] = std::move(guest);
  }
  return json;
}

Capture capture_from(const Members& json) {
  Capture capture{.method = json.text("method", kMaxName),
                  .consistency = json.text("consistency", kMaxName),
                  .crash = json.text_or_empty("crash", kMaxName),
                  .tag = json.text_or_empty("tag", kMaxName)};
  if (json.has("guest")) {
    capture.guest = identity_from(json.object("guest"));
  }
  return capture;
}

}  // namespace vmcore::report
