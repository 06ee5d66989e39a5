// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/command/report_error.h"

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "src/command/exit_code.h"

namespace vmcore {

std::string error_json(const Error& error) {
  const nlohmann::ordered_json json{
      {"schema", "vmcorectl-error/1"},
      {"error", {{"code", errc_name(error.code)}, {"text", error.message}}}};
  return json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace);
}

int report_error(const Error& error) {
  fmt::print(stderr, "{}: {}\n", program_invocation_short_name, printable(error.message));
  return error.code == Errc::cancelled ? kExitInterrupted : kExitFailed;
}

int report_error(const Error& error, const Common& common) {
  if (common.json) {
    fmt::print("{}\n", error_json(error));
  }
  return report_error(error);
}

}  // namespace vmcore
