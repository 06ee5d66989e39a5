// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/finding.h"

#include <utility>

namespace vmcore {

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return "PASS";
    case Verdict::note:
      return "NOTE";
    case Verdict::warn:
      return "WARN";
    case Verdict::fail:
      return "FAIL";
  }
  return "FAIL";
}

std::optional<Verdict> verdict_from_name(std::string_view name) {
  for (const Verdict verdict : {Verdict::pass, Verdict::note, Verdict::warn, Verdict::fail}) {
    if (name == verdict_name(verdict)) {
      return verdict;
    }
  }
  return std::nullopt;
}

Finding with(Finding finding, Verdict verdict, std::string hint) {
  finding.verdict = verdict;
  finding.hint = std::move(hint);
  return finding;
}

std::string verdict_text(const Finding& finding) {
  std::string text(verdict_name(finding.verdict));
  std::string why = finding.value;
  why += why.empty() || finding.hint.empty() ? "" : "; ";
  why += finding.hint;
  if (!why.empty()) {
    text += " (" + why + ")";
  }
  return text;
}

}  // namespace vmcore
