// SPDX-License-Identifier: GPL-2.0-or-later
// QMP messages as they arrive on a socket: JSON objects one after the other. A guest may have taken
// over the QEMU that sends them, so they are bounded in size and depth before they are parsed.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::qmp {

using Json = nlohmann::json;

// The largest answer that is asked for has a few KiB; a schema, which is never asked for, 200 KiB.
inline constexpr std::size_t kMaxMessage = 1U << 20;
inline constexpr int kMaxDepth = 32;

// Cuts a stream of bytes into its top-level JSON objects, on one line or many (a "pretty" monitor).
class MessageSplitter {
 public:
  // Takes over what was received. 0xFF, which no JSON holds, drops a half-received message.
  void feed(std::string_view bytes) { pending_ += bytes; }

  // The text of the next whole object, or nothing until more is fed. Errc::not_recognised if
  // something other than an object begins; Errc::limit beyond the bounds above.
  Result<std::optional<std::string>> next();

  // Whether an object has begun and not ended, after next() returned nothing.
  bool is_amid() const { return !pending_.empty(); }
  // What is held back for now.
  std::string_view pending() const { return pending_; }

 private:
  // The place behind the object that begins pending_, or npos where it has not ended yet.
  Result<std::size_t> scan();
  void drop(std::size_t count);
  void skip_between();

  std::string pending_;
  std::size_t scanned_ = 0;  // of pending_, with the state below
  int depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

// Errc::malformed for text that is no JSON object; never throws.
Result<Json> parse_object(std::string_view text);

// A member of a given kind, or nothing: the shape of a reply is never assumed.
std::optional<std::string> text_member(const Json& object, const char* name);
std::optional<std::uint64_t> number_member(const Json& object, const char* name);
std::optional<bool> bool_member(const Json& object, const char* name);

}  // namespace vmcore::qmp
