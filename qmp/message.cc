// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/message.h"

#include <algorithm>
#include <utility>

namespace vmcore::qmp {
namespace {

constexpr std::string_view kBetween = " \t\r\n";
constexpr char kResync = '\xFF';

}  // namespace

void MessageSplitter::drop(std::size_t count) {
  pending_.erase(0, count);
  scanned_ = 0;
  depth_ = 0;
  in_string_ = false;
  escaped_ = false;
}

Result<std::size_t> MessageSplitter::scan() {
  while (scanned_ < pending_.size()) {
    const char byte = pending_[scanned_++];
    if (byte == kResync) {
      drop(scanned_);
      skip_between();
      continue;
    }
    if (in_string_) {
      in_string_ = escaped_ || byte != '"';
      escaped_ = !escaped_ && byte == '\\';
    } else if (byte == '"') {
      in_string_ = true;
    } else if (byte == '{' || (byte == '[' && depth_ > 0)) {
      if (++depth_ > kMaxDepth) {
        return fail(Errc::limit, "QEMU's monitor sent a message nested deeper than {} levels",
                    kMaxDepth);
      }
    } else if ((byte == '}' || byte == ']') && --depth_ == 0) {
      return scanned_;
    }
    if (depth_ <= 0) {
      return fail(Errc::not_recognised, "QEMU's monitor sent something other than a JSON object");
    }
    if (scanned_ > kMaxMessage) {
      return fail(Errc::limit, "QEMU's monitor sent a message longer than {} bytes", kMaxMessage);
    }
  }
  return std::string::npos;
}

void MessageSplitter::skip_between() {
  drop(std::min(pending_.find_first_not_of(kBetween), pending_.size()));
}

Result<std::optional<std::string>> MessageSplitter::next() {
  if (scanned_ == 0) {
    skip_between();
  }
  TRY_ASSIGN(const std::size_t end, scan());
  if (end == std::string::npos) {
    return std::nullopt;
  }
  std::string message = pending_.substr(0, end);
  drop(end);
  return message;
}

Result<Json> parse_object(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) {
    return fail(Errc::malformed, "QEMU's monitor sent a message that is not a JSON object");
  }
  return json;
}

std::optional<std::string> text_member(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_string() ? std::optional(found->get<std::string>())
                                                     : std::nullopt;
}

std::optional<std::uint64_t> number_member(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_number_unsigned()
             ? std::optional(found->get<std::uint64_t>())
             : std::nullopt;
}

std::optional<bool> bool_member(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_boolean() ? std::optional(found->get<bool>())
                                                      : std::nullopt;
}

}  // namespace vmcore::qmp
