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
