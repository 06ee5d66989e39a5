// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/control/control.h"

#include "src/report/json.h"

namespace vmcore::control {
namespace {

using report::Json;
using report::Members;
using report::Misfit;

// Of a host: the largest run some thousand.
constexpr std::size_t kMostGuests = 8192;

constexpr std::pair<Verb, std::string_view> kVerbs[] = {
    {Verb::arm, "arm"}, {Verb::disarm, "disarm"}, {Verb::status, "status"}, {Verb::lend, "lend"}};

Verb verb_from(std::string_view name) {
  for (const auto& [verb, known] : kVerbs) {
    if (name == known) {
      return verb;
    }
  }
  throw Misfit("an unknown verb");
}

std::string line(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

Request request_from(const Json& document) {
  const Members json(document);
  report::expect_schema(json, kSchema);
  Request request{.verb = verb_from(json.text("verb", report::kMaxName)),
                  .socket = json.text_or_empty("socket", report::kMaxPath),
                  .all = json.flag("all"),
                  .uri = json.text_or_empty("uri", report::kMaxPath),
                  .trap_resets = json.flag("trap_resets")};
  for (const Json& guest : json.list("guests", kMostGuests)) {
    if (!guest.is_string() || guest.get_ref<const std::string&>().size() > report::kMaxText) {
      throw Misfit("a guest that is not named by a text");
    }
    request.guests.push_back(guest.get<std::string>());
  }
  return request;
}

Json status_json(const GuestStatus& guest) {
  return {{"name", report::cut(guest.name, report::kMaxText)},
          {"uuid", report::text_or_null(guest.uuid, report::kMaxName)},
          {"from", report::cut(guest.from, report::kMaxPath)},
          {"state", report::cut(guest.state, report::kMaxName)},
          {"armed", guest.armed},
          {"trap_resets", guest.trap_resets},
          {"missing", report::text_or_null(guest.missing, report::kMaxPath)},
          {"on_crash_before", report::text_or_null(guest.on_crash_before, report::kMaxName)},
          {"error", report::text_or_null(guest.error, report::kMaxPath)}};
}

GuestStatus status_from(const Members& json) {
  return {.name = json.text("name"),
          .uuid = json.text_or_empty("uuid", report::kMaxName),
          .from = json.text("from", report::kMaxPath),
          .state = json.text("state", report::kMaxName),
          .armed = json.flag("armed"),
          .trap_resets = json.flag("trap_resets"),
          .missing = json.text_or_empty("missing", report::kMaxPath),
          .on_crash_before = json.text_or_empty("on_crash_before", report::kMaxName),
          .error = json.text_or_empty("error", report::kMaxPath)};
}

Answer answer_from(const Json& document) {
  const Members json(document);
  report::expect_schema(json, kSchema);
  Answer answer;
  if (json.has("error")) {
    const Members error = json.object("error");
    answer.error = Error{errc_from_name(error.text("code", report::kMaxName)),
                         error.text("text", report::kMaxPath)};
  }
  for (const Json& guest : json.list("guests", kMostGuests)) {
    answer.guests.push_back(status_from(Members(guest)));
  }
  return answer;
}

}  // namespace

std::string_view verb_name(Verb verb) {
  for (const auto& [known, name] : kVerbs) {
    if (verb == known) {
      return name;
    }
  }
  return "";
}

std::string to_json(const Request& request) {
  Json guests = Json::array();
  for (const std::string& guest : request.guests) {
    guests.push_back(report::cut(guest, report::kMaxText));
  }
  return line({{"schema", kSchema},
               {"verb", verb_name(request.verb)},
               {"guests", std::move(guests)},
               {"socket", report::text_or_null(request.socket, report::kMaxPath)},
               {"all", request.all},
               {"uri", report::text_or_null(request.uri, report::kMaxPath)},
               {"trap_resets", request.trap_resets}});
}

std::string to_json(const Answer& answer) {
  Json guests = Json::array();
  for (const GuestStatus& guest : answer.guests) {
    if (guests.size() == kMostGuests) {
      break;
    }
    guests.push_back(status_json(guest));
  }
  Json error;
  if (answer.error) {
    error = {{"code", errc_name(answer.error->code)},
             {"text", report::cut(answer.error->message, report::kMaxPath)}};
  }
  return line({{"schema", kSchema}, {"guests", guests}, {"error", error}});
}

Result<Request> request_from_json(std::string_view text) {
  if (text.size() > kMaxRequest) {
    return fail(Errc::malformed, "the request is longer than {} bytes", kMaxRequest);
  }
  return report::read<Request>(text, request_from);
}

Result<Answer> answer_from_json(std::string_view text) {
  if (text.size() > kMaxAnswer) {
    return fail(Errc::malformed, "the answer is longer than {} bytes", kMaxAnswer);
  }
  return report::read<Answer>(text, answer_from);
}

}  // namespace vmcore::control
