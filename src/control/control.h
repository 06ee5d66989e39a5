// SPDX-License-Identifier: GPL-2.0-or-later
// Control: what commands ask of a running vmcored: a request and an answer over its UNIX socket,
// one JSON document on one line each (docs/schema/control.json).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"

namespace vmcore::control {

inline constexpr const char* kUsualSocket = "/run/vmcorectl/vmcored.socket";

enum class Verb : std::uint8_t {
  arm,
  disarm,
  status,
  lend,  // the monitor of a guest that the service holds; the answer brings its descriptor
};
std::string_view verb_name(Verb verb);  // "arm"

// Of both documents.
inline constexpr std::string_view kSchema = "vmcorectl-control/1";

struct Request {
  Verb verb = Verb::status;
  // Which guests: those names and UUIDs, the guest of that QMP socket (an absolute path), or all
  // that the service knows.
  std::vector<std::string> guests = {};
  std::string socket = {};
  bool all = false;
  std::string uri = {};  // only guests of that libvirt connection; empty: of any
  bool trap_resets = false;
  bool operator==(const Request&) const = default;
};

// Of one guest.
struct GuestStatus {
  std::string name = {};
  std::string uuid = {};
  std::string from = {};   // the libvirt URI or the QMP socket
  std::string state = {};  // of the service's state machine
  bool armed = false;
  bool trap_resets = false;
  std::string missing = {};          // of what is wanted: what is not set, and why
  std::string on_crash_before = {};  // of an armed guest
  std::string error = {};            // why what was asked for was not done
  bool operator==(const GuestStatus&) const = default;
};

struct Answer {
  std::vector<GuestStatus> guests = {};
  std::optional<Error> error = {};  // the request was refused as a whole
};

// Bytes of a line.
inline constexpr std::size_t kMaxRequest = 256U << 10;
inline constexpr std::size_t kMaxAnswer = 8U << 20;

// Descriptors of an answer to `lend`: the monitor, then what is to be kept open with it.
inline constexpr std::size_t kMostLent = 4;

// In ASCII, with a newline at the end and none before.
std::string to_json(const Request& request);
std::string to_json(const Answer& answer);
// Errc::malformed where the text is no such document.
Result<Request> request_from_json(std::string_view text);
Result<Answer> answer_from_json(std::string_view text);

}  // namespace vmcore::control
