// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/reservation.h"

#include <algorithm>

#include "guest/config/kernel_words.h"
#include "guest/kexec/kernel_facts.h"
#include "src/base/number.h"

namespace vmcore::guest::kexec {
namespace {

constexpr std::string_view kKey = "crashkernel=";
// Firmware keeps some RAM for itself: the kernel rounds up what it sees (parse_crashkernel_mem).
constexpr std::uint64_t kRamStep = 128U << 20;

bool is_octal(std::string_view text) {
  return text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '7';
}

// As the kernel's memparse() reads it: hexadecimal after 0x, octal after 0, then a suffix.
std::optional<std::uint64_t> take_size(std::string_view& text) {
  constexpr std::string_view kSuffixes = "KkMmGgTtPpEe";
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  const int base = hexadecimal ? 16 : is_octal(text) ? 8 : 10;
  text.remove_prefix(hexadecimal ? 2 : 0);
  auto value = take_number<std::uint64_t>(text, base);
  const std::size_t suffix =
      value && !text.empty() ? kSuffixes.find(text[0]) : std::string_view::npos;
  if (suffix != std::string_view::npos) {
    text.remove_prefix(1);
    *value <<= 10 * (suffix / 2 + 1);
  }
  return value;
}

// Why so many bytes are of no use.
std::string fault_of_size(std::uint64_t size, const Machine& machine) {
  if (size == 0) {
    return "it reserves nothing";
  }
  if (machine.ram && size >= *machine.ram) {
    return fmt::format("this machine has only {} MiB", *machine.ram >> 20);
  }
  return size >= machine.minimum
             ? ""
             : fmt::format("the capture kernel needs at least {} MiB", (machine.minimum >> 20) + 1);
}

struct SizedRange {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t size;
};

// "2G-4G:320M" off the front.
std::optional<SizedRange> take_range(std::string_view& text) {
  const auto start = take_size(text);
  if (!start || !text.starts_with('-')) {
    return std::nullopt;
  }
  text.remove_prefix(1);
  const auto end = text.starts_with(':') ? UINT64_MAX : take_size(text);
  if (!end || *end <= *start || !text.starts_with(':')) {
    return std::nullopt;
  }
  text.remove_prefix(1);
  const auto size = take_size(text);
  return size ? std::optional(SizedRange{*start, *end, *size}) : std::nullopt;
}

// "START-[END]:SIZE[,...][@OFFSET]": the range with the RAM of the machine, or, if that is unknown,
// the largest size.
std::string fault_of_ranges(std::string_view text, const Machine& machine) {
  std::uint64_t most = 0;
  while (true) {
    const auto range = take_range(text);
    if (!range) {
      return "the kernel cannot parse its ranges";
    }
    if (machine.ram && *machine.ram >= range->start && *machine.ram < range->end) {
      return fault_of_size(range->size, machine);
    }
    most = std::max(most, range->size);
    if (!text.starts_with(',')) {
      break;
    }
    text.remove_prefix(1);
  }
  return machine.ram ? fmt::format("no range has the {} MiB of this machine", *machine.ram >> 20)
                     : fault_of_size(most, machine);
}

std::string fault_of(std::string_view value, const Machine& machine) {
  if (value == "auto" && machine.knows_auto) {
    return "";
  }
  if (value.find(':') != std::string_view::npos) {
    return fault_of_ranges(value, machine);
  }
  const auto size = take_size(value);
  if (!size) {
    return "the kernel expects a number";
  }
  return value.empty() || value.front() == '@' || value == ",high"
             ? fault_of_size(*size, machine)
             : fmt::format("the kernel does not understand \"{}\"", value);
}

// Whether a line of the log, without its time, tells of a failed reservation.
bool tells_of_failure(std::string_view text) {
  return (text.starts_with("crashkernel") || text.starts_with("Cannot reserve")) &&
         text.find(" reserved") == std::string_view::npos;
}

}  // namespace

Reservation reservation_of(std::string_view command_line, const Machine& machine) {
  std::optional<std::string> plain;
  std::optional<std::string> high;
  std::optional<std::string> other;
  for (const std::string& word : config::kernel_words(command_line)) {
    if (word == "--") {
      break;  // the rest is for init
    }
    if (word.starts_with(kKey)) {
      const std::string value = word.substr(kKey.size());
      const bool helps = value.ends_with(",low") || value.ends_with(",cma");
      (helps ? other : value.ends_with(",high") ? high : plain) = value;
    }
  }
  const std::optional<std::string>& taken = plain ? plain : high;
  if (taken) {
    return {.word = fmt::format("{}{}", kKey, *taken), .fault = fault_of(*taken, machine)};
  }
  return other ? Reservation{.word = fmt::format("{}{}", kKey, *other),
                             .fault = "alone it reserves nothing"}
               : Reservation();
}

std::optional<std::uint64_t> ram_of(const root::Root& root) {
  std::uint64_t bytes = 0;
  if (root.running()) {
    for (const Resource& resource : parse_resources(root.read("/proc/iomem").value_or(""))) {
      bytes += resource.name == "System RAM" ? resource.range.last - resource.range.first + 1 : 0;
    }
  }
  return bytes == 0 ? std::nullopt : std::optional((bytes + kRamStep - 1) / kRamStep * kRamStep);
}

std::string kernel_on_crashkernel(std::string_view log) {
  std::string said;
  while (!log.empty()) {
    std::string_view line = log.substr(0, log.find('\n'));
    log.remove_prefix(std::min(line.size() + 1, log.size()));
    // "<4>[    0.004242] crashkernel: memory value expected"
    const std::size_t time = line.find("] ");
    line.remove_prefix(time == std::string_view::npos ? 0 : time + 2);
    if (tells_of_failure(line)) {
      said = line;
    }
  }
  return said;
}

}  // namespace vmcore::guest::kexec
