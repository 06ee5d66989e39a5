// SPDX-License-Identifier: GPL-2.0-or-later
// Control: what commands ask of a vmcored that runs: a request and an answer, one JSON document
// each, over its socket.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"

namespace vmcore::control {

inline constexpr const char* kUsualSocket = "/run/vmcorectl/vmcored.socket";

struct Request {
  std::string verb = {};  // "arm", "disarm", "status"
  std::vector<std::string> guests = {};
  bool all = false;
  bool trap_resets = false;
};

// Of one guest that the service knows.
struct GuestStatus {
  std::string name = {};
  std::string uuid = {};
  std::string from = {};   // the libvirt URI or the QMP socket
  std::string state = {};  // of the service's state machine
  bool armed = false;
  std::string error = {};  // why what was asked for was not done
};

struct Answer {
  std::vector<GuestStatus> guests = {};
};

std::string to_json(const Request& request);
std::string to_json(const Answer& answer);
Result<Request> request_from_json(std::string_view text);
Result<Answer> answer_from_json(std::string_view text);

// Asks the service. Errc::not_found if none runs.
Result<Answer> ask(const std::filesystem::path& socket, const Request& request);

}  // namespace vmcore::control
