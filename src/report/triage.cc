// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/triage.h"

#include <algorithm>
#include <array>

#include "src/report/capture_json.h"
#include "src/report/json.h"
#include "src/report/signature_json.h"

namespace vmcore::report {
namespace {

constexpr std::size_t kMaxCpuNumber = 1U << 16;

// The members whose texts the guest wrote; "[]" stands for each entry of a list. The schema marks
// the same members with "x-guest", which tests/cli/test_report.py compares.
constexpr std::array kGuestText{
    "kernel.release",
    "kernel.banner",
    "kernel.build_id",
    "panic.message",
    "panic.task.comm",
    "panic.fault.function",
    "panic.fault.arguments[].name",
    "panic.fault.arguments[].type",
    "panic.signature.title",
    "modules.list[].name",
    "cpus.list[].task.comm",
    "cpus.list[].queue.tasks[].comm",
    "tasks.list[].comm",
    "tasks.list[].lock.owner.comm",
    "tasks.list[].io.device",
    "tasks.list[].io.file_system",
    "tasks.waiting[].lock.owner.comm",
    "tasks.waiting[].io.device",
    "tasks.waiting[].io.file_system",
    "tasks.waiting[].tasks[].comm",
    "stacks[].frames[].function",
    "stacks[].frames[].module",
    "log.lines[]",
    "memory.zones[].name",
    "memory.counters[].name",
    "memory.slabs[].name",
    "memory.tasks[].task.comm",
    "mounts.list[].device",
    "mounts.list[].point",
    "mounts.list[].type",
    "files.list[].path",
    "files.list[].socket.local",
    "files.list[].socket.remote",
};

// Adds the text unless it is empty.
void add(Json& json, const char* key, std::string_view text, std::size_t most = kMaxName) {
  if (!text.empty()) {
    json[key] = cut(text, most);
  }
}

template <class T, class Each>
Json list_json(const std::vector<T>& entries, Each each) {
  Json list = Json::array();
  for (const T& entry : entries) {
    list.push_back(each(entry));
  }
  return list;
}

template <class Each>
auto list_from(const Members& json, const char* key, std::size_t most, Each each) {
  std::vector<decltype(each(json))> entries;
  for (const Json& entry : json.list(key, most)) {
    entries.push_back(each(Members(entry)));
  }
  return entries;
}

std::vector<std::string> texts_from(const Members& json, const char* key, std::size_t most,
                                    std::size_t longest) {
  std::vector<std::string> texts;
  for (const Json& entry : json.list(key, most)) {
    if (!entry.is_string()) {
      throw Misfit(fmt::format("\"{}\" is not a list of texts", key));
    }
    texts.push_back(cut(entry.get<std::string>(), 3 * longest));
  }
  return texts;
}

// {"not_known": "..."} in place of a section.
template <class T, class Each>
Json section_json(const Known<T>& section, Each each) {
  return section.value ? each(*section.value) : Json{{"not_known", cut(section.why_not, kMaxText)}};
}

template <class T, class Each>
Known<T> section_from(const Members& document, const char* key, Each each) {
  const Members json = document.object(key);
  if (json.has("not_known")) {
    return {.why_not = json.text("not_known")};
  }
  return {.value = each(json)};
}

Json task_json(const TaskName& task) {
  return {{"pid", task.pid}, {"tgid", task.tgid}, {"comm", cut(task.comm, kMaxName)}};
}

TaskName task_from(const Members& json) {
  return {.pid = json.signed_number("pid"),
          .tgid = json.signed_number("tgid"),
          .comm = json.text("comm", kMaxName)};
}

Json register_json(const NamedRegister& each) {
  return {{"name", cut(each.name, kMaxName)}, {"value", hex(each.value)}};
}

NamedRegister register_from(const Members& json) {
  return {.name = json.text("name", kMaxName), .value = json.address("value")};
}

Json kernel_json(const TriageKernel& kernel) {
  Json json{{"release", cut(kernel.release, kMaxName)}};
  add(json, "banner", kernel.banner, kMaxText);
  add(json, "build_id", kernel.build_id);
  if (kernel.uptime_seconds) {
    json["uptime_seconds"] = *kernel.uptime_seconds;
  }
  if (kernel.taint_mask) {
    json["taint"] = {{"mask", hex(*kernel.taint_mask)},
                     {"flags", list_json(kernel.taints, [](const Taint& taint) -> Json {
                        return {{"letter", std::string(1, taint.letter)},
                                {"meaning", cut(taint.meaning, kMaxName)}};
                      })}};
  }
  return json;
}

Taint taint_from(const Members& json) {
  const std::string letter = json.text("letter", 1);
  return {.letter = letter.empty() ? '?' : letter.front(),
          .meaning = json.text("meaning", kMaxName)};
}

TriageKernel kernel_from(const Members& json) {
  TriageKernel kernel{.release = json.text("release", kMaxName),
                      .banner = json.text_or_empty("banner"),
                      .build_id = json.text_or_empty("build_id", kMaxName)};
  if (json.has("uptime_seconds")) {
    kernel.uptime_seconds = json.fraction("uptime_seconds");
  }
  if (json.has("taint")) {
    const Members taint = json.object("taint");
    kernel.taint_mask = taint.address("mask");
    kernel.taints = list_from(taint, "flags", kMaxTaints, taint_from);
  }
  return kernel;
}

Json argument_json(const Argument& argument) {
  return {{"name", cut(argument.name, kMaxName)},
          {"type", cut(argument.type, kMaxName)},
          {"value", hex(argument.value)}};
}

Argument argument_from(const Members& json) {
  return {.name = json.text("name", kMaxName),
          .type = json.text("type", kMaxName),
          .value = json.address("value")};
}

Json fault_json(const FaultingFunction& fault) {
  return {{"function", cut(fault.name, kMaxName)},
          {"registers", list_json(fault.registers, register_json)},
          {"arguments", list_json(fault.arguments, argument_json)}};
}

FaultingFunction fault_from(const Members& json) {
  return {.name = json.text("function", kMaxName),
          .registers = list_from(json, "registers", kMaxRegisters, register_from),
          .arguments = list_from(json, "arguments", kMaxRegisters, argument_from)};
}

Json panic_json(const TriagePanic& panic) {
  Json json{{"class", crash_class_name(panic.kind)}, {"evidence", panic.evidence}};
  add(json, "message", panic.message, kMaxText);
  if (panic.cpu) {
    json["cpu"] = *panic.cpu;
  }
  if (panic.task) {
    json["task"] = task_json(*panic.task);
  }
  if (panic.fault) {
    json["fault"] = fault_json(*panic.fault);
  }
  if (panic.stack) {
    json["stack"] = *panic.stack;
  }
  if (panic.signature) {
    json["signature"] = signature_json(*panic.signature);
  }
  return json;
}

CrashClass class_from(std::string_view name) {
  const auto kind = crash_class_from_name(name);
  if (!kind) {
    throw Misfit("an unknown class of crash");
  }
  return *kind;
}

TriagePanic panic_from(const Members& json) {
  TriagePanic panic{.message = json.text_or_empty("message"),
                    .kind = class_from(json.text("class", kMaxName)),
                    .evidence = texts_from(json, "evidence", kMaxEntries, kMaxName),
                    .stack = json.maybe_number("stack")};
  if (json.has("cpu")) {
    panic.cpu = static_cast<unsigned>(json.number("cpu", kMaxCpuNumber));
  }
  if (json.has("task")) {
    panic.task = task_from(json.object("task"));
  }
  if (json.has("fault")) {
    panic.fault = fault_from(json.object("fault"));
  }
  if (json.has("signature")) {
    panic.signature = signature_of(json);
  }
  return panic;
}

Json module_json(const TriageModule& module) {
  Json json{{"name", cut(module.name, kMaxName)},
            {"address", hex(module.address)},
            {"size", module.size},
            {"taints", cut(module.taints, kMaxName)},
            {"out_of_tree", module.out_of_tree}};
  if (!module.build_id.empty()) {
    json["build_id"] = cut(module.build_id, kMaxName);
  }
  return json;
}

TriageModule module_from(const Members& json) {
  return {.name = json.text("name", kMaxName),
          .build_id = json.text_or_empty("build_id", kMaxName),
          .address = json.address("address"),
          .size = json.number("size"),
          .taints = json.text("taints", kMaxName),
          .out_of_tree = json.flag("out_of_tree")};
}

// Adds the number if it is known.
void add(Json& json, const char* key, const std::optional<std::uint64_t>& number) {
  if (number) {
    json[key] = *number;
  }
}

Json queued_json(const QueuedTask& task) {
  Json json = task_json(task.name);
  json["policy"] = cut(task.policy, kMaxName);
  if (task.delayed) {
    json["delayed"] = true;
  }
  return json;
}

QueuedTask queued_from(const Members& json) {
  return {.name = task_from(json),
          .policy = json.text("policy", kMaxName),
          .delayed = json.has("delayed") && json.flag("delayed")};
}

Json queue_json(const RunQueue& queue) {
  Json json = Json::object();
  add(json, "fair", queue.fair);
  add(json, "real_time", queue.real_time);
  add(json, "deadline", queue.deadline);
  json["tasks"] = list_json(queue.tasks, queued_json);
  add(json, "broken", queue.broken, kMaxText);
  return json;
}

RunQueue queue_from(const Members& json) {
  return {.fair = json.maybe_number("fair"),
          .real_time = json.maybe_number("real_time"),
          .deadline = json.maybe_number("deadline"),
          .tasks = list_from(json, "tasks", kMaxQueued, queued_from),
          .broken = json.text_or_empty("broken")};
}

Json cpu_json(const TriageCpu& cpu) {
  Json json{{"number", cpu.number}};
  if (cpu.online) {
    json["online"] = *cpu.online;
  }
  add(json, "mode", cpu.mode);
  if (cpu.task) {
    json["task"] = task_json(*cpu.task);
  }
  if (!cpu.registers.empty()) {
    json["registers"] = list_json(cpu.registers, register_json);
  }
  if (cpu.stack) {
    json["stack"] = *cpu.stack;
  }
  add(json, "why_no_stack", cpu.why_no_stack, kMaxText);
  add(json, "runnable", cpu.runnable);
  if (cpu.queue) {
    json["queue"] = queue_json(*cpu.queue);
  }
  return json;
}

TriageCpu cpu_from(const Members& json) {
  TriageCpu cpu{.number = static_cast<unsigned>(json.number("number", kMaxCpuNumber)),
                .mode = json.text_or_empty("mode", kMaxName),
                .stack = json.maybe_number("stack"),
                .why_no_stack = json.text_or_empty("why_no_stack"),
                .runnable = json.maybe_number("runnable")};
  if (json.has("online")) {
    cpu.online = json.flag("online");
  }
  if (json.has("task")) {
    cpu.task = task_from(json.object("task"));
  }
  if (json.has("registers")) {
    cpu.registers = list_from(json, "registers", kMaxRegisters, register_from);
  }
  if (json.has("queue")) {
    cpu.queue = queue_from(json.object("queue"));
  }
  return cpu;
}

Json lock_json(const LockWait& lock) {
  Json json{{"kind", cut(lock.kind, kMaxName)}, {"address", hex(lock.address)}};
  if (lock.owner) {
    json["owner"] = task_json(*lock.owner);
  }
  return json;
}

std::optional<LockWait> lock_from(const Members& json) {
  if (!json.has("lock")) {
    return std::nullopt;
  }
  const Members of_lock = json.object("lock");
  LockWait lock{.kind = of_lock.text("kind", kMaxName), .address = of_lock.address("address")};
  if (of_lock.has("owner")) {
    lock.owner = task_from(of_lock.object("owner"));
  }
  return lock;
}

Json io_json(const IoWait& io) {
  Json json{{"kind", cut(io.kind, kMaxName)}};
  if (io.address) {
    json["address"] = hex(*io.address);
  }
  add(json, "device", io.device);
  add(json, "file_system", io.file_system);
  add(json, "inode", io.inode);
  add(json, "block", io.block);
  return json;
}

std::optional<IoWait> io_from(const Members& json) {
  if (!json.has("io")) {
    return std::nullopt;
  }
  const Members of_io = json.object("io");
  return IoWait{.kind = of_io.text("kind", kMaxName),
                .address = of_io.maybe_address("address"),
                .device = of_io.text_or_empty("device", kMaxName),
                .file_system = of_io.text_or_empty("file_system", kMaxName),
                .inode = of_io.maybe_number("inode"),
                .block = of_io.maybe_number("block")};
}

Json listed_task_json(const TriageTask& task) {
  Json json = task_json(task.name);
  json["state"] = cut(task.state, kMaxName);
  if (task.on_cpu) {
    json["on_cpu"] = true;
  }
  if (task.cpu) {
    json["cpu"] = *task.cpu;
  }
  if (task.stack) {
    json["stack"] = *task.stack;
  }
  if (task.lock) {
    json["lock"] = lock_json(*task.lock);
  }
  if (task.io) {
    json["io"] = io_json(*task.io);
  }
  return json;
}

TriageTask listed_task_from(const Members& json) {
  TriageTask task{.name = task_from(json),
                  .state = json.text("state", kMaxName),
                  .on_cpu = json.has("on_cpu") && json.flag("on_cpu"),
                  .lock = lock_from(json),
                  .io = io_from(json),
                  .stack = json.maybe_number("stack")};
  if (json.has("cpu")) {
    task.cpu = static_cast<unsigned>(json.number("cpu", kMaxCpuNumber));
  }
  return task;
}

Json group_json(const WaitingGroup& group) {
  Json json{
      {"stack", group.stack}, {"count", group.tasks}, {"tasks", list_json(group.names, task_json)}};
  if (group.lock) {
    json["lock"] = lock_json(*group.lock);
  }
  if (group.io) {
    json["io"] = io_json(*group.io);
  }
  return json;
}

Json tasks_json(const TriageTasks& tasks) {
  Json by_state = Json::object();
  for (const auto& [state, count] : tasks.by_state) {
    by_state[cut(state, kMaxName)] = count;
  }
  return {{"total", tasks.total},
          {"by_state", std::move(by_state)},
          {"waiting", list_json(tasks.waiting, group_json)},
          {"list", list_json(tasks.list, listed_task_json)}};
}

TriageTasks tasks_from(const Members& json) {
  TriageTasks tasks{.total = json.number("total")};
  const Json& table = json.table("by_state", kMaxEntries);
  const Members by_state(table);
  for (const auto& [state, count] : table.items()) {
    tasks.by_state.emplace_back(state, by_state.number(state.c_str()));
  }
  tasks.waiting = list_from(json, "waiting", kMaxGroups, [](const Members& group) {
    return WaitingGroup{.stack = group.number("stack"),
                        .tasks = group.number("count"),
                        .names = list_from(group, "tasks", kMaxEntries, task_from),
                        .lock = lock_from(group),
                        .io = io_from(group)};
  });
  tasks.list = list_from(json, "list", kMaxTriageTasks, listed_task_from);
  return tasks;
}

Json line_json(const SourceLine& line) {
  return {{"function", cut(line.function, kMaxName)},
          {"file", cut(line.file, kMaxPath)},
          {"line", line.line}};
}

SourceLine line_from(const Members& json) {
  return {.function = json.text("function", kMaxName),
          .file = json.text("file", kMaxPath),
          .line = json.number("line")};
}

Json frame_json(const TriageFrame& frame) {
  Json json = Json::object();
  if (!frame.function.empty()) {
    json = {{"function", cut(frame.function, kMaxName)},
            {"offset", frame.offset},
            {"size", frame.size}};
    add(json, "module", frame.module);
  }
  json["address"] = hex(frame.address);
  add(json, "stack", frame.stack);
  if (frame.exact) {
    json["exact"] = true;
  }
  if (frame.guessed) {
    json["guessed"] = true;
  }
  if (!frame.lines.empty()) {
    json["lines"] = list_json(frame.lines, line_json);
  }
  if (!frame.arguments.empty()) {
    json["arguments"] = list_json(frame.arguments, argument_json);
  }
  return json;
}

TriageFrame frame_from(const Members& json) {
  return {.function = json.text_or_empty("function", kMaxName),
          .module = json.text_or_empty("module", kMaxName),
          .offset = json.maybe_number("offset").value_or(0),
          .size = json.maybe_number("size").value_or(0),
          .address = json.address("address"),
          .exact = json.has("exact") && json.flag("exact"),
          .guessed = json.has("guessed") && json.flag("guessed"),
          .stack = json.text_or_empty("stack", kMaxName),
          .lines = json.has("lines") ? list_from(json, "lines", kMaxInlines, line_from)
                                     : std::vector<SourceLine>(),
          .arguments = json.has("arguments")
                           ? list_from(json, "arguments", kMaxEntries, argument_from)
                           : std::vector<Argument>()};
}

Json stack_json(const TriageStack& stack) {
  Json json{{"frames", list_json(stack.frames, frame_json)}};
  add(json, "broken", stack.broken, kMaxText);
  return json;
}

TriageStack stack_from(const Members& json) {
  return {.frames = list_from(json, "frames", kMaxFrames, frame_from),
          .broken = json.text_or_empty("broken")};
}

Json log_json(const std::vector<std::string>& lines) {
  return {{"lines", list_json(lines, [](const std::string& line) { return cut(line, kMaxText); })}};
}

std::vector<std::string> log_from(const Members& json) {
  return texts_from(json, "lines", kMaxLogLines, kMaxText);
}

Json zone_json(const ZoneUse& zone) {
  return {{"node", zone.node},       {"name", cut(zone.name, kMaxName)},
          {"present", zone.present}, {"managed", zone.managed},
          {"free", zone.free},       {"low", zone.low}};
}

ZoneUse zone_from(const Members& json) {
  return {.name = json.text("name", kMaxName),
          .node = static_cast<unsigned>(json.number("node", kMaxCpuNumber)),
          .present = json.number("present"),
          .managed = json.number("managed"),
          .free = json.number("free"),
          .low = json.number("low")};
}

Json bytes_json(const NamedBytes& each) {
  return {{"name", cut(each.name, kMaxName)}, {"bytes", each.bytes}};
}

NamedBytes bytes_from(const Members& json) {
  return {.name = json.text("name", kMaxName), .bytes = json.number("bytes")};
}

Json memory_json(const TriageMemory& memory) {
  return {{"zones", list_json(memory.zones, zone_json)},
          {"counters", list_json(memory.counters, bytes_json)},
          {"slabs", list_json(memory.slabs, bytes_json)},
          {"tasks", list_json(memory.tasks, [](const TaskMemory& each) -> Json {
             return {{"task", task_json(each.task)}, {"rss", each.rss}};
           })}};
}

TriageMemory memory_from(const Members& json) {
  return {.zones = list_from(json, "zones", kMaxEntries, zone_from),
          .counters = list_from(json, "counters", kMaxEntries, bytes_from),
          .slabs = list_from(json, "slabs", kMaxEntries, bytes_from),
          .tasks = list_from(json, "tasks", kMaxEntries, [](const Members& each) {
            return TaskMemory{.task = task_from(each.object("task")), .rss = each.number("rss")};
          })};
}

Json mount_json(const Mount& mount) {
  return {{"device", cut(mount.device, kMaxName)},
          {"point", cut(mount.point, kMaxText)},
          {"type", cut(mount.type, kMaxName)}};
}

Mount mount_from(const Members& json) {
  return {.device = json.text("device", kMaxName),
          .point = json.text("point"),
          .type = json.text("type", kMaxName)};
}

Json socket_json(const OpenSocket& socket) {
  Json json{{"family", cut(socket.family, kMaxName)}, {"type", cut(socket.type, kMaxName)}};
  add(json, "protocol", socket.protocol);
  add(json, "state", socket.state);
  add(json, "local", socket.local);
  add(json, "remote", socket.remote);
  return json;
}

OpenSocket socket_from(const Members& json) {
  return {.family = json.text("family", kMaxName),
          .type = json.text("type", kMaxName),
          .protocol = json.text_or_empty("protocol", kMaxName),
          .state = json.text_or_empty("state", kMaxName),
          .local = json.text_or_empty("local", kMaxName),
          .remote = json.text_or_empty("remote", kMaxName)};
}

Json file_json(const OpenFile& file) {
  Json json{{"number", file.number}, {"path", cut(file.path, kMaxText)}};
  if (file.socket) {
    json["socket"] = socket_json(*file.socket);
  }
  return json;
}

OpenFile file_from(const Members& json) {
  OpenFile file{.number = json.number("number"), .path = json.text("path")};
  if (json.has("socket")) {
    file.socket = socket_from(json.object("socket"));
  }
  return file;
}

// A section that is a list.
template <class T, class Each>
Json list_section(const Known<std::vector<T>>& section, Each each) {
  return section_json(section, [&](const std::vector<T>& entries) -> Json {
    return {{"list", list_json(entries, each)}};
  });
}

template <class T, class Each>
Known<std::vector<T>> list_section_from(const Members& document, const char* key, std::size_t most,
                                        Each each) {
  return section_from<std::vector<T>>(
      document, key, [&](const Members& json) { return list_from(json, "list", most, each); });
}

// Every place of a stack is one of the list.
void check(const TriageReport& report) {
  const auto fits = [&](const std::optional<std::uint64_t>& stack) {
    if (stack && *stack >= report.stacks.size()) {
      throw Misfit("a stack that is not in the list");
    }
  };
  if (report.panic.value) {
    fits(report.panic.value->stack);
  }
  if (report.cpus.value) {
    std::ranges::for_each(*report.cpus.value, fits, &TriageCpu::stack);
  }
  if (report.tasks.value) {
    std::ranges::for_each(report.tasks.value->list, fits, &TriageTask::stack);
    std::ranges::for_each(report.tasks.value->waiting, fits, &WaitingGroup::stack);
  }
}

TriageReport report_from(const Json& document) {
  const Members json(document);
  expect_schema(json, TriageReport::kSchema);
  static_cast<void>(texts_from(json, "guest_text", kMaxEntries, kMaxName));
  TriageReport report{
      .format = json.text("format"),
      .consistency = json.text("consistency", kMaxName),
      .incomplete = json.flag("incomplete"),
      .kernel = section_from<TriageKernel>(json, "kernel", kernel_from),
      .panic = section_from<TriagePanic>(json, "panic", panic_from),
      .modules = list_section_from<TriageModule>(json, "modules", kMaxTriageModules, module_from),
      .cpus = list_section_from<TriageCpu>(json, "cpus", kMaxCpus, cpu_from),
      .tasks = section_from<TriageTasks>(json, "tasks", tasks_from),
      .log = section_from<std::vector<std::string>>(json, "log", log_from),
      .memory = section_from<TriageMemory>(json, "memory", memory_from),
      .mounts = list_section_from<Mount>(json, "mounts", kMaxEntries, mount_from),
      .files = list_section_from<OpenFile>(json, "files", kMaxEntries, file_from),
      .stacks = list_from(json, "stacks", kMaxStacks, stack_from),
      .remarks = remarks_from(json.list("remarks", kMaxRemarks + 1))};
  if (json.has("capture")) {
    const Members capture = json.object("capture");
    report.capture = capture_from(capture);
    report.capture->cost = cost_from(capture);
  }
  check(report);
  return report;
}

}  // namespace

std::string text_of(const TriageFrame& frame) {
  if (frame.function.empty()) {
    return hex(frame.address);
  }
  const std::string place = fmt::format("{}+{:#x}/{:#x}", frame.function, frame.offset, frame.size);
  return frame.module.empty() ? place : fmt::format("{} [{}]", place, frame.module);
}

std::string to_json(const TriageReport& report) {
  Json json{{"schema", TriageReport::kSchema},
            {"guest_text", kGuestText},
            {"format", cut(report.format, kMaxText)},
            {"consistency", cut(report.consistency, kMaxName)},
            {"incomplete", report.incomplete}};
  if (report.capture) {
    Json capture = capture_json(*report.capture);
    add_cost(capture, report.capture->cost);
    json["capture"] = std::move(capture);
  }
  json["kernel"] = section_json(report.kernel, kernel_json);
  json["panic"] = section_json(report.panic, panic_json);
  json["cpus"] = list_section(report.cpus, cpu_json);
  json["log"] = section_json(report.log, log_json);
  json["memory"] = section_json(report.memory, memory_json);
  json["modules"] = list_section(report.modules, module_json);
  json["mounts"] = list_section(report.mounts, mount_json);
  json["files"] = list_section(report.files, file_json);
  json["tasks"] = section_json(report.tasks, tasks_json);
  json["stacks"] = list_json(report.stacks, stack_json);
  json["remarks"] = remarks_json(report.remarks);
  return document_text(json);
}

Result<TriageReport> triage_from_json(std::string_view text) {
  return read<TriageReport>(text, report_from);
}

}  // namespace vmcore::report
