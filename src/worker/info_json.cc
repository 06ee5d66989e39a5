#include "src/worker/info_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

namespace vmcore::worker {
namespace {

using Json = nlohmann::ordered_json;

// Guests have some ten; a file of 1 MiB can claim millions.
constexpr std::size_t kMaxRamRanges = 4096;

std::string hex(std::uint64_t value) { return fmt::format("{:#x}", value); }

Json cpus_json(const std::vector<CpuState>& cpus) {
  Json list = Json::array();
  for (const CpuState& cpu : cpus) {
    Json entry{{"index", cpu.index},
               {"rip", hex(cpu.rip)},
               {"rsp", hex(cpu.rsp)},
               {"rflags", hex(cpu.rflags)},
               {"mode", cpu.user_mode() ? "user" : "kernel"},
               {"gs_base", hex(cpu.gs.base)}};
    if (cpu.cr3) {
      entry["cr3"] = hex(*cpu.cr3);
    }
    if (cpu.cr4) {
      entry["cr4"] = hex(*cpu.cr4);
    }
    list.push_back(std::move(entry));
  }
  return list;
}

Json kernel_json(const convert::KernelFacts& kernel) {
  if (!kernel.in_memory) {
    return {{"release", kernel.release},
            {"build_id", kernel.build_id},
            {"vmcoreinfo", "note"},
            {"in_memory", false}};
  }
  const char* source = "note";
  if (kernel.info_source != kernel::InfoSource::note) {
    source = kernel.info_source == kernel::InfoSource::registers ? "registers" : "search";
  }
  Json json{{"release", kernel.release},     {"build_id", kernel.build_id},
            {"vmcoreinfo", source},          {"kaslr_offset", hex(kernel.kaslr_offset)},
            {"phys_base", kernel.phys_base}, {"page_table_levels", kernel.page_table_levels},
            {"panicked", kernel.panicked}};
  if (const auto& panic = kernel.panic_kernel) {
    json["panic_kernel"] = {{"loaded", panic->loaded},
                            {"start", hex(panic->region.begin.value)},
                            {"size", panic->region.size}};
  }
  return json;
}

Json ram_json(std::span<const PhysRange> ranges) {
  Json list = Json::array();
  for (const PhysRange& range : ranges) {
    list.push_back({{"start", hex(range.begin.value)}, {"size", range.size}});
  }
  return list;
}

Json capture_json(const convert::Capture& capture) {
  Json json{{"method", capture.method}, {"consistency", capture.consistency}};
  if (!capture.crash.empty()) {
    json["crash"] = capture.crash;
  }
  if (!capture.tag.empty()) {
    json["tag"] = capture.tag;
  }
  if (const auto& pause = capture.cost.pause_us) {
    json["pause_ms"] = static_cast<double>(*pause) / 1000;
  }
  if (const auto& bytes = capture.cost.host_memory) {
    json["host_memory"] = *bytes;
  }
  return json;
}

Json remark_json(const Remark& remark) {
  return {{"code", errc_name(remark.code)}, {"text", remark.text}};
}

Json pages_json(const convert::Description& description) {
  const filters::Plan& plan = description.plan;
  Json by_class = Json::object();
  if (description.kernel && description.kernel->in_memory) {
    for (const filters::ClassName& entry : filters::kClassNames) {
      by_class[std::string(entry.name)] =
          plan.pages_by_class[static_cast<std::size_t>(entry.page_class)];
    }
  }
  const std::uint64_t ram = plan.ram_pages;
  return {{"ram", ram},
          {"in_file", plan.kept_pages},
          {"excluded", plan.excluded_before},
          {"by_class", std::move(by_class)}};
}

}  // namespace

std::string info_json(const MemoryImage& image, const convert::Description& description) {
  const std::string_view machine = names_of(image.machine.arch).name;
  Json json{
      {"format", image.file.format},
      {"machine", machine.empty() ? "unknown" : machine},
      {"page_size", image.machine.page_size},
      {"incomplete", description.incomplete},
      {"level", {{"asked", description.level_asked}, {"reached", description.level_reached}}}};
  if (description.kernel) {
    json["kernel"] = kernel_json(*description.kernel);
  }
  if (description.crash_time.seconds) {
    json["crash_time"] = {{"epoch", *description.crash_time.seconds},
                          {"source", time_source_name(description.crash_time.source)}};
  }
  if (description.last_log_stamp) {
    json["last_log_stamp"] = *description.last_log_stamp;
  }
  if (description.capture) {
    json["capture"] = capture_json(*description.capture);
  }
  json["cpus"] = cpus_json(image.cpus);
  const RangeSet ram = ram_ranges(*image.memory);
  const std::span<const PhysRange> ranges = ram.ranges();
  json["ram"] = ram_json(ranges.first(std::min(kMaxRamRanges, ranges.size())));
  json["pages"] = pages_json(description);
  json["remarks"] = Json::array();
  for (const Remark& remark : description.remarks) {
    json["remarks"].push_back(remark_json(remark));
  }
  if (ranges.size() > kMaxRamRanges) {
    json["remarks"].push_back(
        remark_json({Errc::limit, fmt::format("{} further ranges of memory are not listed",
                                              ranges.size() - kMaxRamRanges)}));
  }
  // In ASCII, so that it holds no control character, which is escaped where it is printed.
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace vmcore::worker
