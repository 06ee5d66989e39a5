// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/log_details.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "src/base/number.h"

namespace vmcore::triage {
namespace {

constexpr std::string_view kHex = "0123456789abcdefABCDEF";

bool is_hex(std::string_view text) {
  return !text.empty() && text.find_first_not_of(kHex) == std::string_view::npos;
}

bool take(std::string_view& text, std::string_view prefix) {
  const bool there = text.starts_with(prefix);
  text.remove_prefix(there ? prefix.size() : 0);
  return there;
}

void skip_spaces(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
}

// Takes what stands before the next space, and the spaces.
std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  skip_spaces(text);
  return word;
}

std::optional<std::uint64_t> take_hex(std::string_view& text) {
  return take(text, "0x") ? take_number<std::uint64_t>(text, 16) : std::nullopt;
}

// "[<ffffffff81000000>] " and "[c000000000001000] ".
void skip_addresses(std::string_view& text) {
  while (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) {
      return;
    }
    std::string_view inner = text.substr(1, end - 1);
    if (inner.starts_with('<') && inner.ends_with('>')) {
      inner = inner.substr(1, inner.size() - 2);
    }
    if (!is_hex(inner) || inner.size() < 8) {
      return;
    }
    text.remove_prefix(end + 1);
    skip_spaces(text);
  }
}

// What compilers and languages put into the names of functions.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() < kLongestName && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '$';
  });
}

// " [mod]", " [mod BUILD-ID]" (CONFIG_STACKTRACE_BUILD_ID, 5.14); false where it is damaged.
bool take_module(std::string_view& text, LogFrame& frame) {
  skip_spaces(text);
  if (!take(text, "[")) {
    return true;
  }
  const std::size_t end = text.find(']');
  if (end == std::string_view::npos) {
    return false;
  }
  std::string_view inner = text.substr(0, end);
  const std::string_view first = take_word(inner);
  // The kernel's own build-id stands alone.
  if (!(is_hex(first) && first.size() == 40)) {
    frame.module = kept(first, kLongestName);
  }
  text.remove_prefix(end + 1);
  skip_spaces(text);
  return true;
}

// "foo+0x1/0x20 [mod]", and takes it off the front.
std::optional<LogFrame> take_symbol(std::string_view& text) {
  LogFrame frame;
  std::string_view rest = text;
  const std::size_t plus = rest.substr(0, kLongestName).find("+0x");
  if (plus == std::string_view::npos || !is_name(rest.substr(0, plus))) {
    return std::nullopt;
  }
  frame.function = rest.substr(0, plus);
  rest.remove_prefix(plus + 1);
  const auto offset = take_hex(rest);
  if (!offset || !take(rest, "/")) {
    return std::nullopt;
  }
  const auto size = take_hex(rest);
  if (!size || *offset > *size || !take_module(rest, frame)) {
    return std::nullopt;
  }
  frame.offset = *offset;
  frame.size = *size;
  text = rest;
  return frame;
}

// An address of the kernel that is in no function.
std::optional<LogFrame> take_address(std::string_view& text) {
  std::string_view rest = text;
  const auto address = take_hex(rest);
  if (!address || (!rest.empty() && rest[0] != ' ')) {
    return std::nullopt;
  }
  skip_spaces(rest);
  text = rest;
  return LogFrame{.function = {}, .offset = *address};
}

std::optional<LogFrame> take_place(std::string_view text) {
  skip_addresses(text);
  auto frame = take_symbol(text);
  return frame ? frame : take_address(text);
}

// "RIP: 0010:"; the two low bits of the selector are the privilege level.
std::optional<LogFrame> place_of_x86(std::string_view text) {
  std::string_view selector = text.substr(0, text.find(':'));
  const auto value = parse_number<unsigned>(selector, 16);
  if (!value || (*value & 3) != 0 || selector.size() == text.size()) {
    return std::nullopt;
  }
  return take_place(text.substr(selector.size() + 1));
}

// "Krnl PSW : MASK ADDRESS (foo+0x1/0x20)"
std::optional<LogFrame> place_of_s390(std::string_view text) {
  const std::size_t open = text.find('(');
  return open == std::string_view::npos ? std::nullopt : take_place(text.substr(open + 1));
}

// "300 at foo+0x1/0x20"
std::optional<LogFrame> place_of_interrupt(std::string_view text) {
  take_word(text);
  return take(text, "at ") ? take_symbol(text) : std::nullopt;
}

struct PlaceRow {
  std::string_view prefix;
  std::optional<LogFrame> (*read)(std::string_view);
};

constexpr PlaceRow kPlaces[] = {
    {"RIP: ", place_of_x86},         // arch/x86/kernel/dumpstack.c
    {"pc : ", take_place},           // arch/arm64/kernel/process.c
    {"epc : ", take_place},          // arch/riscv/kernel/process.c, 5.11
    {"Krnl PSW : ", place_of_s390},  // arch/s390/kernel/dumpstack.c
    {"NIP [",
     [](std::string_view text) {  // arch/powerpc/kernel/process.c
       return take_place(text.substr(std::min(text.find(' '), text.size() - 1) + 1));
     }},
    {"ERA: ",
     [](std::string_view text) {  // arch/loongarch/kernel/traps.c
       take_word(text);
       return take_place(text);
     }},
    {"--- interrupt: ", place_of_interrupt},  // arch/powerpc/kernel/process.c
};

// "Not tainted 6.1.0", "Tainted: G        W  O      6.1.0". The letters have fixed columns, and no
// release begins with a letter that could be one of them and a space.
void take_kernel(std::string_view text, LogReport& report) {
  skip_spaces(text);
  std::string taint;
  if (take(text, "Tainted: ")) {
    skip_spaces(text);
    while (!text.empty()) {
      std::string_view rest = text;
      const std::string_view word = take_word(rest);
      if (word.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string_view::npos) {
        break;
      }
      taint += word;
      text = rest;
    }
  } else if (!take(text, "Not tainted ")) {
    return;
  }
  if (report.release.empty()) {
    skip_spaces(text);
    report.taint = kept(taint, 64);
    report.release = kept(take_word(text), 256);
    report.version = kept(text, 256);
  }
}

// What stands in front of the taint is the task's name, which may hold any words.
std::size_t begin_of_taint(std::string_view text) {
  const std::size_t tainted = text.rfind(" Tainted: ");
  const std::size_t clean = text.rfind(" Not tainted ");
  if (tainted == std::string_view::npos || clean == std::string_view::npos) {
    return std::min(tainted, clean);
  }
  return std::max(tainted, clean);
}

// "0 UID: 0 PID: 1 Comm: sh Kdump: loaded Not tainted ..." (UID since 6.12)
void take_cpu_line(std::string_view text, LogReport& report) {
  const auto cpu = take_number<std::uint32_t>(text);
  if (!cpu) {
    return;
  }
  skip_spaces(text);
  if (take(text, "UID: ")) {
    take_word(text);
  }
  if (!take(text, "PID: ")) {
    return;
  }
  const auto pid = take_number<std::uint32_t>(text);
  skip_spaces(text);
  if (!pid || !take(text, "Comm: ")) {
    return;
  }
  const std::size_t end = begin_of_taint(text);
  std::string_view comm = text.substr(0, end);
  constexpr std::string_view kKdump = " Kdump: loaded";
  comm.remove_suffix(comm.ends_with(kKdump) ? kKdump.size() : 0);
  // The first line of a warning tells the CPU and the pid, and no name.
  if (!report.pid || (*report.pid == *pid && report.comm.empty())) {
    report.cpu = report.cpu ? report.cpu : cpu;
    report.pid = pid;
    report.comm = kept(comm, 32);
  }
  take_kernel(end == std::string_view::npos ? std::string_view() : text.substr(end + 1), report);
}

// "comm:123", where the name may hold ":" too.
void take_task(std::string_view text, char separator, LogReport& report) {
  const std::size_t at = text.rfind(separator);
  const auto pid = at == std::string_view::npos ? std::nullopt
                                                : parse_number<std::uint32_t>(text.substr(at + 1));
  if (pid && !report.pid) {
    report.pid = pid;
    report.comm = kept(text.substr(0, at), 32);
  }
}

std::string_view between(std::string_view text, std::string_view begin, std::string_view end) {
  const std::size_t at = text.find(begin);
  if (at == std::string_view::npos) {
    return {};
  }
  text.remove_prefix(at + begin.size());
  const std::size_t stop = end.empty() ? text.size() : text.rfind(end);
  return stop == std::string_view::npos ? std::string_view() : text.substr(0, stop);
}

// "WARNING: CPU: 0 PID: 1 at FILE:LINE foo+0x1/0x20 [mod]" until 6.18; since then
// "WARNING: FILE:LINE at foo+0x1/0x20 [mod], CPU#0: sh/1".
void take_warning(std::string_view line, LogReport& report) {
  if (std::string_view text = line; take(text, "WARNING: CPU: ")) {
    report.cpu = take_number<std::uint32_t>(text);
    if (take(text, " PID: ")) {
      report.pid = take_number<std::uint32_t>(text);
    }
    text = text.substr(std::min(text.find(" at "), text.size()));
    for (take(text, " at "); !text.empty() && !report.fault; take_word(text)) {
      std::string_view rest = text;
      report.fault = take_symbol(rest);
    }
    return;
  }
  std::string_view place = between(line, " at ", ", CPU#");
  report.fault = take_symbol(place);
  std::string_view who = between(line, ", CPU#", "");
  report.cpu = take_number<std::uint32_t>(who);
  if (take(who, ": ")) {
    take_task(who, '/', report);
  }
}

// "BUG: soft lockup - CPU#0 stuck for 22s! [sh:123]"
void take_soft_lockup(std::string_view line, LogReport& report) {
  std::string_view cpu = between(line, "CPU#", "!");
  report.cpu = take_number<std::uint32_t>(cpu);
  take_task(between(line, "! [", "]"), ':', report);
}

// "Watchdog detected hard LOCKUP on cpu 1"
void take_hard_lockup(std::string_view line, LogReport& report) {
  std::string_view cpu = between(line, "on cpu ", "");
  report.cpu = take_number<std::uint32_t>(cpu);
}

// "BUG: KASAN: use-after-free in foo+0x1/0x20"
void take_sanitizer(std::string_view line, LogReport& report) {
  std::string_view place = between(line, " in ", "");
  report.fault = take_symbol(place);
}

// Whether it is a register's value: "0000000000000000", "0018:ffffc90000013e08", "0000(0000)".
bool is_value(std::string_view word) {
  const std::size_t colon = word.find(':');
  if (colon != std::string_view::npos && !is_hex(word.substr(0, colon))) {
    return false;
  }
  const std::string_view value = word.substr(colon == std::string_view::npos ? 0 : colon + 1);
  const std::string_view digits = value.substr(0, value.find('('));
  return is_hex(digits) && digits.size() >= 4 && digits.size() <= 32;
}

bool is_register_name(std::string_view word) {
  return !word.empty() && word.size() <= 12 && word[0] > '9' && is_name(word);
}

// "GPR04" after three values that follow "GPR00:", "GPRS4" after four.
std::string name_of_value(std::string_view name, unsigned index) {
  if (index == 0) {
    return std::string(name);
  }
  const std::size_t digits = name.find_last_not_of("0123456789") + 1;
  std::string_view number = name.substr(digits);
  const unsigned first = take_number<unsigned>(number).value_or(0);
  return fmt::format("{}{:02}", name.substr(0, digits), first + index);
}

// Takes "NAME:", "NAME :", or "NAME:VALUE" off the front, as far as its colon.
std::optional<std::string_view> take_register_name(std::string_view& text) {
  std::string_view rest = text;
  const std::size_t end = rest.find_first_of(": ");
  const std::string_view name = rest.substr(0, end);
  if (end == std::string_view::npos || !is_register_name(name)) {
    return std::nullopt;
  }
  rest.remove_prefix(end);
  skip_spaces(rest);
  if (!take(rest, ":")) {
    return std::nullopt;
  }
  skip_spaces(rest);
  text = rest;
  return name;
}

std::vector<LogRegister> registers_of(std::string_view text) {
  std::vector<LogRegister> found;
  while (const auto name = take_register_name(text)) {
    unsigned index = 0;
    while (!text.empty() && is_value(text.substr(0, text.find(' ')))) {
      found.push_back({name_of_value(*name, index++), std::string(take_word(text))});
    }
    if (index == 0) {
      return {};
    }
  }
  return text.empty() || text[0] == '(' || text[0] == '<' ? found : std::vector<LogRegister>();
}

}  // namespace

std::string kept(std::string_view text, std::size_t most) {
  return std::string(text.substr(0, most));
}

std::optional<LogFrame> frame_of(std::string_view line) {
  std::string_view text = line;
  bool reliable = !take(text, "(");
  skip_addresses(text);
  reliable &= !take(text, "? ");
  auto frame = take_symbol(text);
  frame = frame ? frame : take_address(text);
  if (!frame) {
    return std::nullopt;
  }
  if (text == "(unreliable)") {
    reliable = false;
  } else if (!text.empty() && text != ")" && !text.starts_with('(')) {
    return std::nullopt;
  }
  frame->reliable = reliable;
  return frame;
}

std::optional<LogFrame> place_of(std::string_view line) {
  for (const PlaceRow& row : kPlaces) {
    if (line.starts_with(row.prefix) && line.size() > row.prefix.size()) {
      return row.read(line.substr(row.prefix.size()));
    }
  }
  return std::nullopt;
}

void take_who(std::string_view line, LogReport& report) {
  std::string_view text = line;
  if (take(text, "CPU: ")) {
    take_cpu_line(text, report);
  } else if (text.starts_with("Not tainted ") || text.starts_with("Tainted: G") ||
             text.starts_with("Tainted: P")) {
    take_kernel(text, report);
  } else if (text.starts_with("WARNING: ")) {
    take_warning(text, report);
  } else if (text.starts_with("INFO: task ")) {
    take_task(between(text, "INFO: task ", " blocked"), ':', report);
  } else if (text.find("soft lockup - CPU#") != std::string_view::npos) {
    take_soft_lockup(text, report);
  } else if (text.find("hard LOCKUP on cpu ") != std::string_view::npos) {
    take_hard_lockup(text, report);
  } else if (report.crash == report::CrashClass::sanitizer) {
    take_sanitizer(text, report);
  }
}

bool take_registers(std::string_view line, std::vector<LogRegister>& registers) {
  std::vector<LogRegister> found = registers_of(line);
  if (found.empty() || registers.size() + found.size() > kMostRegisters) {
    return false;
  }
  std::ranges::move(found, std::back_inserter(registers));
  return true;
}

void take_modules(std::string_view line, std::vector<std::string>& modules) {
  std::string_view text = line;
  if (!take(text, "Modules linked in:")) {
    return;
  }
  for (skip_spaces(text); !text.empty() && text[0] != '[' && modules.size() < kMostModules;) {
    const std::string_view word = take_word(text);
    modules.push_back(kept(word.substr(0, word.find('(')), kLongestName));
  }
}

}  // namespace vmcore::triage
