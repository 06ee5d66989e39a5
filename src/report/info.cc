// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/info.h"

#include <algorithm>

#include "src/report/capture_json.h"
#include "src/report/json.h"

namespace vmcore::report {
namespace {

constexpr unsigned kMaxLevel = 31;
constexpr std::size_t kMaxIndex = 1U << 20;  // of a vCPU: an APIC id, at the most

Json kernel_json(const KernelInfo& kernel) {
  Json json{{"release", cut(kernel.release, kMaxName)},
            {"build_id", cut(kernel.build_id, kMaxName)},
            {"vmcoreinfo", kernel.vmcoreinfo}};
  if (!kernel.in_memory) {
    json["in_memory"] = false;
    return json;
  }
  json["kaslr_offset"] = hex(kernel.kaslr_offset);
  json["phys_base"] = kernel.phys_base;
  json["page_table_levels"] = kernel.page_table_levels;
  json["panicked"] = kernel.panicked;
  if (const auto& panic = kernel.capture_kernel) {
    json["panic_kernel"] = {
        {"loaded", panic->loaded}, {"start", hex(panic->start)}, {"size", panic->size}};
  }
  return json;
}

KernelInfo kernel_from(const Members& json) {
  KernelInfo kernel{.release = json.text("release", kMaxName),
                    .build_id = json.text("build_id", kMaxName),
                    .vmcoreinfo = json.text("vmcoreinfo", kMaxName),
                    .in_memory = !json.has("in_memory") || json.flag("in_memory")};
  if (!kernel.in_memory) {
    return kernel;
  }
  kernel.kaslr_offset = json.address("kaslr_offset");
  kernel.phys_base = json.signed_number("phys_base");
  kernel.page_table_levels = static_cast<unsigned>(json.number("page_table_levels", 5));
  kernel.panicked = json.flag("panicked");
  if (json.has("panic_kernel")) {
    const Members panic = json.object("panic_kernel");
    kernel.capture_kernel = ReservedMemory{.loaded = panic.flag("loaded"),
                                           .start = panic.address("start"),
                                           .size = panic.number("size")};
  }
  return kernel;
}

Json cpus_json(const std::vector<CpuInfo>& cpus) {
  Json list = Json::array();
  for (const CpuInfo& cpu : cpus) {
    Json json{{"index", cpu.index},        {"rip", hex(cpu.rip)}, {"rsp", hex(cpu.rsp)},
              {"rflags", hex(cpu.rflags)}, {"mode", cpu.mode},    {"gs_base", hex(cpu.gs_base)}};
    if (cpu.cr3) {
      json["cr3"] = hex(*cpu.cr3);
    }
    if (cpu.cr4) {
      json["cr4"] = hex(*cpu.cr4);
    }
    list.push_back(std::move(json));
  }
  return list;
}

CpuInfo cpu_from(const Members& json) {
  return {.index = static_cast<unsigned>(json.number("index", kMaxIndex)),
          .rip = json.address("rip"),
          .rsp = json.address("rsp"),
          .rflags = json.address("rflags"),
          .mode = json.text("mode", kMaxName),
          .gs_base = json.address("gs_base"),
          .cr3 = json.maybe_address("cr3"),
          .cr4 = json.maybe_address("cr4")};
}

Json pages_json(const InfoReport& report) {
  Json by_class = Json::object();
  for (const auto& [name, pages] : report.pages_by_class) {
    by_class[name] = pages;
  }
  return {{"ram", report.ram_pages},
          {"in_file", report.pages_in_file},
          {"excluded", report.pages_excluded},
          {"by_class", std::move(by_class)}};
}

void take_pages(const Members& json, InfoReport& report) {
  report.ram_pages = json.number("ram", kMaxPages);
  report.pages_in_file = json.number("in_file", kMaxPages);
  report.pages_excluded = json.number("excluded", kMaxPages);
  const Json& table = json.table("by_class", kMaxClasses);
  const Members by_class(table);
  for (const auto& [name, value] : table.items()) {
    report.pages_by_class.emplace_back(name, by_class.number(name.c_str(), kMaxPages));
  }
}

InfoReport report_from(const Json& document) {
  const Members json(document);
  expect_schema(json, InfoReport::kSchema);
  const Members level = json.object("level");
  InfoReport report{.format = json.text("format"),
                    .machine = json.text("machine", kMaxName),
                    .page_size = json.number("page_size"),
                    .incomplete = json.flag("incomplete"),
                    .level_asked = static_cast<unsigned>(level.number("asked", kMaxLevel)),
                    .level_reached = static_cast<unsigned>(level.number("reached", kMaxLevel)),
                    .ram = ranges_from(json.list("ram", kMaxRamRanges)),
                    .remarks = remarks_from(json.list("remarks", kMaxRemarks + 1))};
  if (json.has("kernel")) {
    report.kernel = kernel_from(json.object("kernel"));
  }
  if (json.has("crash_time")) {
    const Members time = json.object("crash_time");
    report.crash_time = CrashTime{time.signed_number("epoch"), time.text("source", kMaxName)};
  }
  if (json.has("last_log_stamp")) {
    report.last_log_stamp = json.fraction("last_log_stamp");
  }
  if (json.has("capture")) {
    const Members capture = json.object("capture");
    report.capture = capture_from(capture);
    report.capture->cost = cost_from(capture);
  }
  for (const Json& cpu : json.list("cpus", kMaxCpus)) {
    report.cpus.push_back(cpu_from(Members(cpu)));
  }
  take_pages(json.object("pages"), report);
  return report;
}

}  // namespace

std::string to_json(const InfoReport& report) {
  Json json{{"schema", InfoReport::kSchema},
            {"format", cut(report.format, kMaxText)},
            {"machine", report.machine},
            {"page_size", report.page_size},
            {"incomplete", report.incomplete},
            {"level", {{"asked", report.level_asked}, {"reached", report.level_reached}}}};
  if (report.kernel) {
    json["kernel"] = kernel_json(*report.kernel);
  }
  if (const auto& time = report.crash_time) {
    json["crash_time"] = {{"epoch", time->epoch}, {"source", time->source}};
  }
  if (report.last_log_stamp) {
    json["last_log_stamp"] = *report.last_log_stamp;
  }
  if (report.capture) {
    Json capture = capture_json(*report.capture);
    add_cost(capture, report.capture->cost);
    json["capture"] = std::move(capture);
  }
  json["cpus"] = cpus_json(report.cpus);
  json["ram"] = ranges_json(report.ram);
  json["pages"] = pages_json(report);
  json["remarks"] = remarks_json(report.remarks);
  return document_text(json);
}

Result<InfoReport> info_from_json(std::string_view text) {
  return read<InfoReport>(text, report_from);
}

}  // namespace vmcore::report
