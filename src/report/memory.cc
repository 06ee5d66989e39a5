// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/memory.h"

#include <algorithm>
#include <set>

#include "src/image/page.h"
#include "src/report/json.h"

namespace vmcore::report {
namespace {

Json amount(std::uint64_t pages) { return {{"pages", pages}, {"bytes", pages * kPageSize}}; }

Json classes_json(const std::vector<ClassCount>& classes) {
  Json list = Json::array();
  for (const ClassCount& count : classes) {
    list.push_back({{"name", count.name},
                    {"title", count.title},
                    {"pages", count.pages},
                    {"bytes", count.pages * kPageSize}});
  }
  return list;
}

Json map_json(const MemoryReport& report) {
  Json bins = Json::array();
  for (const BinUse& bin : report.bins) {
    Json json{{"start", hex(bin.start)}, {"pages", Json::object()}};
    for (std::size_t i = 0; i < bin.pages.size(); ++i) {
      if (bin.pages[i] != 0) {
        json["pages"][report.classes[i].name] = bin.pages[i];
      }
    }
    if (bin.free_zero != 0) {
      json["free_zero"] = bin.free_zero;
    }
    bins.push_back(std::move(json));
  }
  return {{"bin_size", report.bin_size}, {"bins", std::move(bins)}};
}

std::uint64_t pages_of(const Members& json, const char* member) {
  return json.object(member).number("pages", kMaxPages);
}

BinUse bin_from(const Members& json, const std::vector<ClassCount>& classes) {
  BinUse bin{.start = json.address("start"),
             .pages = std::vector<std::uint64_t>(classes.size()),
             .free_zero = json.maybe_number("free_zero").value_or(0)};
  const Members pages = json.object("pages");
  for (std::size_t i = 0; i < classes.size(); ++i) {
    bin.pages[i] = pages.maybe_number(classes[i].name.c_str()).value_or(0);
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
  return bin.start < kMaxPhysAddr && bin.start % report.bin_size == 0 && bin.free_zero <= free;
}

bool names_differ(const std::vector<ClassCount>& classes) {
  std::set<std::string_view> names;
  return std::ranges::all_of(
      classes, [&](const ClassCount& count) { return names.insert(count.name).second; });
}

void check(const MemoryReport& report) {
  const bool size_is_one = report.bin_size >= kPageSize && report.bin_size <= kMaxPhysAddr &&
                           (report.bin_size & (report.bin_size - 1)) == 0;
  if (!size_is_one || !names_differ(report.classes)) {
    throw Misfit("impossible sizes or classes");
  }
  for (std::size_t i = 0; i < report.bins.size(); ++i) {
    const BinUse& bin = report.bins[i];
    if (!fits(bin, report) || (i != 0 && bin.start <= report.bins[i - 1].start)) {
      throw Misfit("an impossible part of memory");
    }
  }
}

MemoryReport report_from(const Json& document) {
  const Members json(document);
  expect_schema(json, MemoryReport::kSchema);
  const Members map = json.object("map");
  MemoryReport report{.release = json.text("release", kMaxName),
                      .torn = json.flag("torn"),
                      .incomplete = json.flag("incomplete"),
                      .memory = pages_of(json, "memory"),
                      .free_zero = pages_of(json, "free_zero"),
                      .kept_at_31 = pages_of(json, "kept_at_31"),
                      .excluded_before = pages_of(json, "excluded_before"),
                      .ram = ranges_from(json.list("ram", kMaxRamRanges)),
                      .bin_size = map.number("bin_size"),
                      .remarks = remarks_from(json.list("remarks", kMaxRemarks + 1))};
  for (const Json& entry : json.list("classes", kMaxClasses)) {
    const Members count(entry);
    report.classes.push_back({count.text("name", kMaxName), count.text("title", kMaxName),
                              count.number("pages", kMaxPages)});
  }
  for (const Json& entry : map.list("bins", kMaxBins)) {
    report.bins.push_back(bin_from(Members(entry), report.classes));
  }
  check(report);
  return report;
}

}  // namespace

std::string to_json(const MemoryReport& report) {
  const Json json{{"schema", MemoryReport::kSchema},
                  {"release", cut(report.release, kMaxName)},
                  {"torn", report.torn},
                  {"incomplete", report.incomplete},
                  {"memory", amount(report.memory)},
                  {"classes", classes_json(report.classes)},
                  {"free_zero", amount(report.free_zero)},
                  {"kept_at_31", amount(report.kept_at_31)},
                  {"excluded_before", amount(report.excluded_before)},
                  {"ram", ranges_json(report.ram)},
                  {"map", map_json(report)},
                  {"remarks", remarks_json(report.remarks)}};
  return document_text(json);
}

Result<MemoryReport> memory_from_json(std::string_view text) {
  return read<MemoryReport>(text, report_from);
}

}  // namespace vmcore::report
