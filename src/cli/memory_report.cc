#include "src/cli/memory_report.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "src/cli/dump_options.h"
#include "src/command/report_error.h"
#include "src/image/page.h"

namespace vmcore::cli {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxClasses = 64;
constexpr std::size_t kMaxBins = 8192;
constexpr std::uint64_t kMaxAddress = 1ULL << 46;

// Members are got with at(), which throws: what the worker says is not to be trusted.
std::uint64_t pages_of(const Json& report, const char* member) {
  return report.at(member).at("pages");
}

std::uint64_t address_from(const std::string& text) {
  std::uint64_t value = kMaxAddress;
  if (text.starts_with("0x")) {
    std::from_chars(text.data() + 2, text.data() + text.size(), value, 16);
  }
  return value;
}

BinUse bin_from(const Json& json, const std::vector<ClassUse>& classes) {
  BinUse bin{.start = address_from(json.at("start")),
             .pages = std::vector<std::uint64_t>(classes.size()),
             .free_zero = json.value("free_zero", std::uint64_t{0})};
  const Json& pages = json.at("pages");
  for (std::size_t i = 0; i < classes.size(); ++i) {
    bin.pages[i] = pages.value(classes[i].name, std::uint64_t{0});
  }
  return bin;
}

bool fits(const BinUse& bin, const MemoryReport& report) {
  const std::uint64_t room = report.bin_size / kPageSize;
  std::uint64_t sum = 0;
  std::uint64_t free = 0;
  for (std::size_t i = 0; i < bin.pages.size(); ++i) {
    if (bin.pages[i] > room - sum) {
      return false;
    }
    sum += bin.pages[i];
    free += report.classes[i].name == "free" ? bin.pages[i] : 0;
  }
  return bin.start < kMaxAddress && bin.start % report.bin_size == 0 && bin.free_zero <= free;
}

bool names_differ(const std::vector<ClassUse>& classes) {
  std::set<std::string_view> names;
  return std::ranges::all_of(classes,
                             [&](const ClassUse& use) { return names.insert(use.name).second; });
}

Result<> check(const MemoryReport& report) {
  const bool size_is_one = report.bin_size >= kPageSize && report.bin_size <= kMaxAddress &&
                           (report.bin_size & (report.bin_size - 1)) == 0;
  if (!size_is_one || report.classes.size() > kMaxClasses || !names_differ(report.classes) ||
      report.bins.size() > kMaxBins || report.memory > kMaxAddress / kPageSize) {
    return fail(Errc::malformed, "vmcore-worker's answer: sizes that cannot be");
  }
  for (std::size_t i = 0; i < report.bins.size(); ++i) {
    const BinUse& bin = report.bins[i];
    if (!fits(bin, report) || (i != 0 && bin.start <= report.bins[i - 1].start)) {
      return fail(Errc::malformed, "vmcore-worker's answer: a part of memory that cannot be");
    }
  }
  return {};
}

MemoryReport report_from(const Json& json) {
  MemoryReport report{.release = json.at("release"),
                      .torn = json.at("torn"),
                      .incomplete = json.at("incomplete"),
                      .memory = pages_of(json, "memory"),
                      .free_zero = pages_of(json, "free_zero"),
                      .kept_at_31 = pages_of(json, "kept_at_31"),
                      .excluded_before = pages_of(json, "excluded_before"),
                      .classes = {},
                      .bin_size = json.at("map").at("bin_size"),
                      .bins = {},
                      .remarks = {}};
  for (const Json& entry : json.at("classes")) {
    report.classes.push_back({entry.at("name"), entry.at("title"), entry.at("pages")});
  }
  for (const Json& entry : json.at("map").at("bins")) {
    report.bins.push_back(bin_from(entry, report.classes));
  }
  for (const Json& entry : json.at("remarks")) {
    report.remarks.push_back(entry.at("text"));
  }
  return report;
}

void line(std::string& out, std::string_view name, std::string_view value) {
  out += fmt::format("{:<16}{}\n", name, printable(value));
}

void row(std::string& out, std::string_view name, std::string_view title, std::uint64_t pages,
         std::uint64_t all) {
  out += fmt::format("{:<16}{:<32}{:>12}{:>8}\n", printable(name), printable(title),
                     human_size(pages * kPageSize), percent(pages, all));
}

}  // namespace

Result<MemoryReport> read_memory_report(std::string_view json) {
  try {
    // Fractions are left out: nlohmann would cast them to integers that may not hold them.
    MemoryReport report =
        report_from(Json::parse(json, [](int, Json::parse_event_t, const Json& value) {
          return !value.is_number_float();
        }));
    TRY(check(report));
    return report;
  } catch (const Json::exception& error) {
    return fail(Errc::malformed, "vmcore-worker's answer: {}", error.what());
  }
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  const double of = static_cast<double>(std::max<std::uint64_t>(whole, 1));
  return fmt::format("{:.1f}%", 100 * static_cast<double>(part) / of);
}

std::string describe_memory(const MemoryReport& report) {
  std::string out;
  line(out, "kernel", report.release);
  if (report.incomplete) {
    line(out, "complete", "NO: pages are missing");
  }
  out += fmt::format("\n{:<16}{:<32}{:>12}{:>8}\n", "CLASS", "", "SIZE", "OF RAM");
  for (const ClassUse& use : report.classes) {
    if (use.pages != 0) {
      row(out, use.name, use.title, use.pages, report.memory);
    }
    if (use.name == "free" && report.free_zero != 0) {
      row(out, "", "of it zero: untouched", report.free_zero, report.memory);
    }
  }
  row(out, "total", "", report.memory, report.memory);
  out +=
      fmt::format("\na dump at level 31 keeps {} ({})\n", human_size(report.kept_at_31 * kPageSize),
                  percent(report.kept_at_31, report.memory));
  if (report.excluded_before != 0) {
    out += fmt::format("not in the file: {} ({}), left out when it was written\n",
                       human_size(report.excluded_before * kPageSize),
                       percent(report.excluded_before, report.memory));
  }
  for (const std::string& remark : report.remarks) {
    line(out, "note", remark);
  }
  return out;
}

}  // namespace vmcore::cli
