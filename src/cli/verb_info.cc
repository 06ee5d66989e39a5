#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "src/cli/dump_options.h"
#include "src/cli/exit_code.h"
#include "src/cli/report_error.h"
#include "src/cli/verb.h"

namespace vmcore::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kPageSize = 4096;

std::string utc(std::int64_t epoch) {
  const std::time_t seconds = epoch;
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&seconds, &parts) != nullptr) {
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  }
  return text;
}

void line(std::string& out, std::string_view name, const std::string& value) {
  out += fmt::format("{:<16}{}\n", name, value);
}

void describe_kernel(const Json& info, std::string& out) {
  if (!info.contains("kernel")) {
    line(out, "kernel", "not found");
    return;
  }
  const Json& kernel = info["kernel"];
  line(out, "kernel", kernel["release"]);
  if (!std::string(kernel["build_id"]).empty()) {
    line(out, "build-id", kernel["build_id"]);
  }
  const std::string source = kernel["vmcoreinfo"];
  line(out, "vmcoreinfo", source == "note" ? "note of the file" : "recovered (" + source + ")");
  line(out, "kaslr offset", kernel["kaslr_offset"]);
  line(out, "page tables", fmt::format("{} levels", int{kernel["page_table_levels"]}));
}

void describe_time(const Json& info, std::string& out) {
  if (info.contains("crash_time")) {
    const Json& time = info["crash_time"];
    line(out, "crash time",
         fmt::format("{} (from: {})", utc(time["epoch"]), std::string(time["source"])));
  } else if (info.contains("last_log_stamp")) {
    line(out, "crash time",
         fmt::format("not known; last log record {:.3f} s after boot",
                     double{info["last_log_stamp"]}));
  }
}

void describe_memory(const Json& info, std::string& out) {
  const Json& pages = info["pages"];
  line(out, "memory", human_size(std::uint64_t{pages["ram"]} * kPageSize));
  for (const Json& range : info["ram"]) {
    out += fmt::format("  {:>18}  {}\n", std::string(range["start"]),
                       human_size(std::uint64_t{range["size"]}));
  }
  line(out, "in the file", fmt::format("{} ({} left out)",
                                       human_size(std::uint64_t{pages["in_file"]} * kPageSize),
                                       human_size(std::uint64_t{pages["excluded"]} * kPageSize)));
  for (const auto& [name, count] : pages["by_class"].items()) {
    if (std::uint64_t{count} != 0) {
      out += fmt::format("  {:<16}{:>12}\n", name, human_size(std::uint64_t{count} * kPageSize));
    }
  }
}

void describe_cpus(const Json& info, std::string& out) {
  line(out, "CPUs", fmt::format("{}", info["cpus"].size()));
  for (const Json& cpu : info["cpus"]) {
    out += fmt::format("  {:>3}  {:<6}  rip {:<18}  rsp {:<18}", int{cpu["index"]},
                       std::string(cpu["mode"]), std::string(cpu["rip"]),
                       std::string(cpu["rsp"]));
    out += cpu.contains("cr3") ? fmt::format("  cr3 {}\n", std::string(cpu["cr3"])) : "\n";
  }
}

std::string describe(const Json& info) {
  std::string out;
  line(out, "format", info["format"]);
  line(out, "machine", info["machine"]);
  describe_kernel(info, out);
  describe_time(info, out);
  line(out, "level", fmt::format("{} reached, {} asked", int{info["level"]["reached"]},
                                 int{info["level"]["asked"]}));
  if (info["incomplete"]) {
    line(out, "complete", "NO: pages are missing");
  }
  describe_memory(info, out);
  describe_cpus(info, out);
  for (const Json& remark : info["remarks"]) {
    line(out, "note", remark["text"]);
  }
  return out;
}

int run(const std::string& file, const Common& common) {
  const unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  const Result<job::TextResult> result =
      job::read_file(file, sandbox::Operation::info, threads);
  if (!result) {
    return report_error(result.error());
  }
  if (common.json) {
    std::fputs(result->text.c_str(), stdout);
    return kExitDone;
  }
  try {
    std::fputs(describe(Json::parse(result->text)).c_str(), stdout);
  } catch (const Json::exception& error) {
    return report_error({Errc::malformed, fmt::format("{}: vmcore-worker's answer: {}", file,
                                                      error.what())});
  }
  return kExitDone;
}

}  // namespace

Run add_info(CLI::App& command, const Common& common) {
  const auto file = std::make_shared<std::string>();
  command.add_option("FILE", *file, "A dump file of any known format")->required();
  return [file, &common] { return run(*file, common); };
}

}  // namespace vmcore::cli
