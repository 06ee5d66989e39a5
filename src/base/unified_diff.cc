// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/unified_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace vmcore {
namespace {

using Lines = std::vector<std::string_view>;

constexpr std::size_t kContext = 3;
constexpr std::size_t kMostCells = 16U << 20;

struct Edit {
  char kind;  // ' ', '-' or '+'
  std::string_view line;
};

Lines split(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// The lengths of the longest common subsequences of what is left of `a` and `b` from each place on.
class Common {
 public:
  Common(const Lines& a, const Lines& b)
      : width_(b.size() + 1), cells_((a.size() + 1) * (b.size() + 1)) {
    for (std::size_t i = a.size(); i-- > 0;) {
      for (std::size_t j = b.size(); j-- > 0;) {
        cells_[i * width_ + j] =
            a[i] == b[j] ? at(i + 1, j + 1) + 1 : std::max(at(i + 1, j), at(i, j + 1));
      }
    }
  }
  std::uint32_t at(std::size_t i, std::size_t j) const { return cells_[i * width_ + j]; }

 private:
  std::size_t width_;
  std::vector<std::uint32_t> cells_;
};

std::vector<Edit> edits_between(const Lines& a, const Lines& b) {
  std::vector<Edit> edits;
  std::size_t i = 0;
  std::size_t j = 0;
  if ((a.size() + 1) * (b.size() + 1) <= kMostCells) {
    const Common common(a, b);
    while (i < a.size() && j < b.size()) {
      if (a[i] == b[j]) {
        edits.push_back({' ', a[i++]});
        ++j;
      } else if (common.at(i + 1, j) >= common.at(i, j + 1)) {
        edits.push_back({'-', a[i++]});
      } else {
        edits.push_back({'+', b[j++]});
      }
    }
  }
  for (; i < a.size(); ++i) {
    edits.push_back({'-', a[i]});
  }
  for (; j < b.size(); ++j) {
    edits.push_back({'+', b[j]});
  }
  return edits;
}

// Where the hunk ends that begins at the change `first`: behind the last change with at most two
// contexts of common lines before it.
std::size_t hunk_end(const std::vector<Edit>& edits, std::size_t first) {
  std::size_t last = first;
  for (std::size_t i = first; i < edits.size() && i - last <= 2 * kContext + 1; ++i) {
    last = edits[i].kind != ' ' ? i : last;
  }
  return std::min(last + 1 + kContext, edits.size());
}

// "12,7"; of no lines, the number of the line before.
std::string range_of(std::size_t lines_before, std::size_t count) {
  return fmt::format("{},{}", lines_before + (count != 0 ? 1 : 0), count);
}

}  // namespace

std::string unified_diff(std::string_view name, std::string_view before, std::string_view after) {
  const std::vector<Edit> edits = edits_between(split(before), split(after));
  std::string text;
  std::size_t told = 0;  // edits that are counted
  std::size_t old_line = 0;
  std::size_t new_line = 0;
  const auto count = [&](std::size_t begin, std::size_t end, char other) {
    return static_cast<std::size_t>(
        std::count_if(edits.begin() + static_cast<std::ptrdiff_t>(begin),
                      edits.begin() + static_cast<std::ptrdiff_t>(end),
                      [other](const Edit& edit) { return edit.kind != other; }));
  };
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (edits[i].kind == ' ') {
      continue;
    }
    const std::size_t begin = std::max(told, i - std::min(i, kContext));
    const std::size_t end = hunk_end(edits, i);
    old_line += count(told, begin, '+');
    new_line += count(told, begin, '-');
    const std::size_t old_count = count(begin, end, '+');
    const std::size_t new_count = count(begin, end, '-');
    if (text.empty()) {
      text = fmt::format("--- {0}\n+++ {0}\n", name);
    }
    text += fmt::format("@@ -{} +{} @@\n", range_of(old_line, old_count),
                        range_of(new_line, new_count));
    for (std::size_t at = begin; at < end; ++at) {
      text += fmt::format("{}{}\n", edits[at].kind, edits[at].line);
    }
    old_line += old_count;
    new_line += new_count;
    told = end;
    i = end - 1;
  }
  return text;
}

}  // namespace vmcore
