#include "src/worker/memory_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "src/image/page.h"

namespace vmcore::worker {
namespace {

using Json = nlohmann::ordered_json;

// Guests have some ten; a file of 1 MiB can claim millions.
constexpr std::size_t kMaxRamRanges = 4096;

std::string hex(std::uint64_t value) { return fmt::format("{:#x}", value); }

Json amount(std::uint64_t pages) { return {{"pages", pages}, {"bytes", pages * kPageSize}}; }

Json classes_json(const convert::PageCounts& counts) {
  Json list = Json::array();
  for (const filters::ClassName& entry : filters::kClassNames) {
    const std::uint64_t pages = counts.by_class[static_cast<std::size_t>(entry.page_class)];
    list.push_back({{"name", entry.name},
                    {"title", entry.title},
                    {"pages", pages},
                    {"bytes", pages * kPageSize}});
  }
  return list;
}

Json bin_json(const convert::MemoryBin& bin) {
  Json json{{"start", hex(bin.start.value)}, {"pages", Json::object()}};
  for (const filters::ClassName& entry : filters::kClassNames) {
    const auto pages = bin.pages.by_class[static_cast<std::size_t>(entry.page_class)];
    if (pages != 0) {
      json["pages"][std::string(entry.name)] = pages;
    }
  }
  if (bin.pages.free_zero != 0) {
    json["free_zero"] = bin.pages.free_zero;
  }
  return json;
}

Json map_json(const convert::MemoryUse& use) {
  Json bins = Json::array();
  for (const convert::MemoryBin& bin : use.bins) {
    bins.push_back(bin_json(bin));
  }
  return {{"bin_size", use.bin_size}, {"bins", std::move(bins)}};
}

Json ranges_json(std::span<const PhysRange> ranges) {
  Json list = Json::array();
  for (const PhysRange& range : ranges.first(std::min(kMaxRamRanges, ranges.size()))) {
    list.push_back({{"start", hex(range.begin.value)}, {"size", range.size}});
  }
  return list;
}

Json remark_json(const Remark& remark) {
  return {{"code", errc_name(remark.code)}, {"text", remark.text}};
}

}  // namespace

std::string memory_json(const MemoryImage& image, const convert::MemoryUse& use, bool torn) {
  std::uint64_t pages = 0;
  for (const std::uint64_t of_class : use.pages.by_class) {
    pages += of_class;
  }
  const RangeSet ram = ram_ranges(*image.memory);
  Json json{{"release", use.release},
            {"torn", torn},
            {"incomplete", use.incomplete},
            {"memory", amount(pages)},
            {"classes", classes_json(use.pages)},
            {"free_zero", amount(use.pages.free_zero)},
            {"kept_at_31", amount(use.kept_pages)},
            {"excluded_before", amount(use.excluded_before)},
            {"ram", ranges_json(ram.ranges())},
            {"map", map_json(use)},
            {"remarks", Json::array()}};
  for (const Remark& remark : use.remarks) {
    json["remarks"].push_back(remark_json(remark));
  }
  if (ram.ranges().size() > kMaxRamRanges) {
    json["remarks"].push_back(
        remark_json({Errc::limit, fmt::format("{} further ranges of memory are not listed",
                                              ram.ranges().size() - kMaxRamRanges)}));
  }
  // In ASCII, so that it holds no control character, which is escaped where it is printed.
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace vmcore::worker
