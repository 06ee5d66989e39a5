// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/json.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "src/base/number.h"

namespace vmcore::report {
namespace {

// Members of reports are at most that deep: a remark's text is the third.
constexpr int kMaxDepth = 8;

template <class... Args>
[[noreturn]] void misfit(fmt::format_string<Args...> format, Args&&... args) {
  throw Misfit(fmt::format(format, std::forward<Args>(args)...));
}

constexpr std::pair<Severity, std::string_view> kSeverities[] = {{Severity::fact, "fact"},
                                                                 {Severity::warning, "warning"}};

Severity severity_from(std::string_view name) {
  for (const auto& [severity, known] : kSeverities) {
    if (name == known) {
      return severity;
    }
  }
  misfit("a remark of unknown severity");
}

}  // namespace

Members::Members(const Json& object) : object_(&object) {
  if (!object.is_object()) {
    misfit("an object is missing");
  }
}

bool Members::has(const char* key) const {
  const auto found = object_->find(key);
  return found != object_->end() && !found->is_null();
}

const Json& Members::at(const char* key) const {
  const auto found = object_->find(key);
  if (found == object_->end()) {
    misfit("\"{}\" is missing", key);
  }
  return *found;
}

std::uint64_t Members::number(const char* key, std::uint64_t most) const {
  const Json& value = at(key);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) {
    misfit("\"{}\" is not a number from 0 to {}", key, most);
  }
  return value.get<std::uint64_t>();
}

std::int64_t Members::signed_number(const char* key) const {
  const Json& value = at(key);
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX)) {
    misfit("\"{}\" is not an integer", key);
  }
  return value.get<std::int64_t>();
}

double Members::fraction(const char* key) const {
  const Json& value = at(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    misfit("\"{}\" is not a number", key);
  }
  return value.get<double>();
}

bool Members::flag(const char* key) const {
  const Json& value = at(key);
  if (!value.is_boolean()) {
    misfit("\"{}\" is neither true nor false", key);
  }
  return value.get<bool>();
}

std::string Members::text(const char* key, std::size_t most) const {
  const Json& value = at(key);
  if (!value.is_string() || value.get_ref<const std::string&>().size() > 3 * most) {
    misfit("\"{}\" is not a text of at most {} bytes", key, 3 * most);
  }
  return value.get<std::string>();
}

std::uint64_t Members::address(const char* key) const {
  const std::string digits = text(key, kMaxName);
  const auto value = digits.starts_with("0x")
                         ? parse_number<std::uint64_t>(std::string_view(digits).substr(2), 16)
                         : std::nullopt;
  if (!value) {
    misfit("\"{}\" is not an address", key);
  }
  return *value;
}

Members Members::object(const char* key) const {
  const Json& value = at(key);
  if (!value.is_object()) {
    misfit("\"{}\" is not an object", key);
  }
  return Members(value);
}

const Json& Members::list(const char* key, std::size_t most) const {
  const Json& value = at(key);
  if (!value.is_array() || value.size() > most) {
    misfit("\"{}\" is not a list of at most {} entries", key, most);
  }
  return value;
}

const Json& Members::table(const char* key, std::size_t most) const {
  const Json& value = at(key);
  if (!value.is_object() || value.size() > most) {
    misfit("\"{}\" is not an object of at most {} members", key, most);
  }
  return value;
}

std::optional<std::uint64_t> Members::maybe_number(const char* key) const {
  return has(key) ? std::optional(number(key)) : std::nullopt;
}

std::optional<std::uint64_t> Members::maybe_address(const char* key) const {
  return has(key) ? std::optional(address(key)) : std::nullopt;
}

std::string Members::text_or_empty(const char* key, std::size_t most) const {
  return has(key) ? text(key, most) : std::string();
}

std::string cut(std::string_view text, std::size_t most) {
  return std::string(text.substr(0, most));
}

std::string hex(std::uint64_t value) { return fmt::format("{:#x}", value); }

Json text_or_null(std::string_view text, std::size_t most) {
  return text.empty() ? Json() : Json(cut(text, most));
}

Json remarks_json(const std::vector<Remark>& remarks) {
  const auto json = [](const Remark& remark) -> Json {
    return {{"code", errc_name(remark.code)},
            {"severity", severity_name(remark.severity)},
            {"text", cut(remark.text, kMaxText)}};
  };
  Json list = Json::array();
  for (const Remark& remark : remarks) {
    if (list.size() == kMaxRemarks) {
      list.push_back(json({Errc::limit, "further remarks are not shown", Severity::fact}));
      break;
    }
    list.push_back(json(remark));
  }
  return list;
}

std::vector<Remark> remarks_from(const Json& list) {
  std::vector<Remark> remarks;
  for (const Json& entry : list) {
    const Members remark(entry);
    remarks.push_back({errc_from_name(remark.text("code")), remark.text("text"),
                       severity_from(remark.text("severity"))});
  }
  return remarks;
}

Json ranges_json(const std::vector<PhysRange>& ranges) {
  Json list = Json::array();
  for (const PhysRange& range : ranges) {
    list.push_back({{"start", hex(range.begin.value)}, {"size", range.size}});
  }
  return list;
}

std::vector<PhysRange> ranges_from(const Json& list) {
  std::vector<PhysRange> ranges;
  for (const Json& entry : list) {
    const Members range(entry);
    const std::uint64_t begin = range.address("start");
    if (begin >= kMaxPhysAddr) {
      misfit("memory beyond the end of all memory");
    }
    ranges.push_back({{begin}, range.number("size", kMaxPhysAddr - begin)});
  }
  return ranges;
}

std::string document_text(const Json& document) {
  return document.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

Result<Json> parse_document(std::string_view text) {
  const auto look = [](int depth, Json::parse_event_t, const Json&) {
    if (depth > kMaxDepth) {
      misfit("it is nested too deeply");  // printing recurses
    }
    return true;
  };
  try {
    return Json::parse(text, look);
  } catch (const std::runtime_error& error) {
    return fail(Errc::malformed, "the report: {}", error.what());
  } catch (const Json::exception& error) {
    constexpr std::size_t kMaxQuoted = 200;  // it may quote all of the document
    return fail(Errc::malformed, "the report: {}",
                std::string_view(error.what()).substr(0, kMaxQuoted));
  }
}

void expect_schema(const Members& document, std::string_view schema) {
  const std::string said = document.text("schema");
  if (said != schema) {
    misfit("its schema is \"{}\", not \"{}\"", cut(said, kMaxName), schema);
  }
}

}  // namespace vmcore::report
