// SPDX-License-Identifier: GPL-2.0-or-later
// Finding: what one check of a host or a guest came to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vmcore {

enum class Verdict : std::uint8_t {
  pass,
  note,  // it cannot be told, or does not matter
  warn,  // dumps work, but not as well as they could, or not when it counts
  fail,  // no dump
};
std::string_view verdict_name(Verdict verdict);  // "PASS"
std::optional<Verdict> verdict_from_name(std::string_view name);

struct Finding {
  std::string id;     // stable: "room", "method.direct"
  std::string title;  // completes "Checking ...": "for a panic device"
  Verdict verdict = Verdict::pass;
  std::string hint = {};   // why, and what to do
  std::string value = {};  // what was found
  // The same for programs: each name ends with its unit ("free_bytes", "pause_ms").
  std::vector<std::pair<std::string, std::uint64_t>> numbers = {};
};

// The same finding, judged otherwise.
Finding with(Finding finding, Verdict verdict, std::string hint);

// "PASS", "WARN (value; hint)".
std::string verdict_text(const Finding& finding);

}  // namespace vmcore
