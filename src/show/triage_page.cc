// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/triage_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "src/base/units.h"
#include "src/image/page.h"
#include "src/seal/sha256.h"
#include "src/show/triage_words.h"
#include "src/show/xml_text.h"

namespace vmcore::show {
namespace {

using report::TriageFrame;
using report::TriageReport;
using report::TriageStack;

// Characters of one text: longer ones are no names, and end in an ellipsis.
constexpr std::size_t kMostText = 4096;

constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --rule: #d1d9e0; --paper: #fff;
  --box: #f6f8fa; --bad: #b3261e; --link: #0550ae }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --rule: #3d444d;
  --paper: #0d1117; --box: #151b23; --bad: #ff8a80; --link: #79c0ff } }
* { box-sizing: border-box }
[hidden] { display: none !important }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.45 system-ui, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.2; color: var(--bad);
  overflow-wrap: anywhere }
h2 { margin: 2rem 0 .5rem; padding-bottom: .25rem; border-bottom: 1px solid var(--rule);
  font-size: 1.15rem }
h2::first-letter, h3::first-letter { text-transform: uppercase }
h3 { margin: 1rem 0 .25rem; font-size: 1rem }
a { color: var(--link) }
p { margin: .5rem 0 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0 }
dt, .soft { color: var(--soft) }
dd { margin: 0; overflow-wrap: anywhere }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-top: 1rem }
pre, code, td, summary, dd { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: .85rem }
pre { margin: .25rem 0; padding: .5rem .75rem; border-radius: .375rem; background: var(--box);
  overflow-x: auto }
pre.log span { display: block; white-space: pre-wrap; overflow-wrap: anywhere }
pre.log span:last-of-type { min-height: 1lh }
details { margin: .25rem 0; border: 1px solid var(--rule); border-radius: .375rem }
summary { padding: .35rem .6rem; cursor: pointer; overflow-wrap: anywhere }
details > :not(summary) { margin-left: .6rem; margin-right: .6rem }
.wide { overflow-x: auto }
table { border-collapse: collapse }
th, td { padding: .15rem .75rem .15rem 0; text-align: left; vertical-align: top }
th { font-weight: 600; color: var(--soft) }
.number { text-align: right }
input { width: 100%; max-width: 30rem; padding: .4rem .6rem; border: 1px solid var(--rule);
  border-radius: .375rem; color: inherit; background: var(--paper); font: inherit }
svg { display: block; width: 100%; height: auto; max-width: 80rem }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr } dt { margin-top: .4rem } }
@media print { body { max-width: none; padding: 0; font-size: 9pt } nav, input { display: none }
  details { border-color: #ccc } pre, tr, svg { break-inside: avoid-page } pre.log { break-inside: auto }
  h2, h3, summary, summary + p { break-after: avoid-page } pre { white-space: pre-wrap } }
)css";

constexpr std::string_view kScript = R"js(
const find = document.getElementById('find'), found = document.getElementById('found');
const lines = document.querySelectorAll('pre.log span');
if (find) {
  find.hidden = false;
  find.addEventListener('input', () => {
    const word = find.value.toLowerCase();
    let shown = 0;
    for (const line of lines) {
      line.hidden = !line.textContent.toLowerCase().includes(word);
      shown += !line.hidden;
    }
    found.textContent = word ? shown + ' of ' + lines.length + ' lines' : '';
  });
}
addEventListener('hashchange', () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.tagName === 'DETAILS') { target.open = true; }
});
addEventListener('beforeprint', () => {
  for (const each of document.querySelectorAll('details')) { each.open = true; }
});
)js";

std::string escaped(std::string_view text) { return xml_text(text, kMostText); }

std::string link_to_stack(std::uint64_t stack, std::string_view word) {
  return fmt::format("<a href=\"#stack{}\">{}</a>", stack, word);
}

class Page {
 public:
  explicit Page(const TriageReport& report) : report_(report) {}

  std::string body(const PageTitle& title, const Result<std::string>& picture) {
    head(title);
    crash();
    cpus();
    waiting();
    memory(picture);
    files();
    modules();
    tasks();
    log();
    remarks();
    out_ += fmt::format(
        "<footer><p class=\"soft\">Made by vmcorectl {} on {}. Names, messages and log lines on "
        "this page come from the guest, and may say anything.</p></footer>\n",
        VMCORECTL_VERSION, escaped(title.made));
    return std::move(out_);
  }

 private:
  void heading(std::string_view id, std::string_view title) {
    out_ += fmt::format("<h2 id=\"{}\">{}</h2>\n", id, title);
  }

  void paragraph(std::string_view text) { out_ += fmt::format("<p>{}</p>\n", escaped(text)); }

  // Whether the section is there; else why not.
  template <class T>
  bool is_known(const report::Known<T>& section) {
    if (!section.value) {
      paragraph("not known: " + section.why_not);
    }
    return section.value.has_value();
  }

  void head(const PageTitle& title) {
    const auto facts = facts_of(report_, title.name);
    out_ += fmt::format(
        "<header>\n<h1>{}</h1>\n<dl>\n",
        escaped(report_.panic.value ? crash_title(*report_.panic.value) : "No crash is known"));
    for (const Fact& fact : facts) {
      out_ += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(fact.name), escaped(fact.value));
    }
    out_ += "</dl>\n<nav>";
    for (const auto& [id, word] : {std::pair{"cpus", "CPUs"},
                                   {"waiting", "Waiting tasks"},
                                   {"memory", "Memory"},
                                   {"files", "Mounts and files"},
                                   {"modules", "Modules"},
                                   {"tasks", "Tasks"},
                                   {"log", "Log"}}) {
      out_ += fmt::format("<a href=\"#{}\">{}</a>", id, word);
    }
    out_ += "</nav>\n</header>\n";
  }

  void frames(const TriageStack& stack, std::size_t first) {
    std::string_view on = "task";
    out_ += "<pre>";
    for (std::size_t i = first; i < stack.frames.size(); ++i) {
      const TriageFrame& frame = stack.frames[i];
      if (frame.stack != on) {
        on = frame.stack;
        out_ +=
            on.empty() ? "-- on another stack\n" : fmt::format("-- on the {} stack\n", escaped(on));
      }
      out_ += escaped(frame_text(frame)) + "\n";
      for (const std::string& text : source_texts(frame)) {
        out_ += "    " + escaped(text) + "\n";
      }
    }
    if (!stack.broken.empty()) {
      out_ += escaped("the stack is not whole: " + stack.broken) + "\n";
    }
    out_ += "</pre>\n";
  }

  void registers(const std::vector<report::NamedRegister>& registers) {
    if (registers.empty()) {
      return;
    }
    constexpr std::size_t kInLine = 4;
    out_ += "<pre>";
    for (std::size_t i = 0; i < registers.size(); ++i) {
      out_ += fmt::format("{:>8} {:016x}{}", escaped(registers[i].name), registers[i].value,
                          i % kInLine == kInLine - 1 || i + 1 == registers.size() ? "\n" : " ");
    }
    out_ += "</pre>\n";
  }

  void crash() {
    const CrashStack crash = crash_stack(report_);
    if (crash.title.empty()) {
      return;
    }
    heading("stack", escaped(crash.title));
    if (crash.stack == nullptr) {
      paragraph("not known: " + crash.why_not);
      return;
    }
    frames(*crash.stack, behind_panic(*crash.stack));
    if (report_.panic.value && report_.panic.value->fault) {
      const report::FaultingFunction& fault = *report_.panic.value->fault;
      out_ += fmt::format("<h3>registers in {}</h3>\n", escaped(fault.name));
      registers(fault.registers);
    }
  }

  void cpus() {
    heading("cpus", "CPUs");
    if (!is_known(report_.cpus)) {
      return;
    }
    for (const report::TriageCpu& cpu : *report_.cpus.value) {
      out_ += fmt::format("<details><summary>{}{}</summary>\n", escaped(cpu_text(cpu, report_)),
                          cpu.number == crashed_cpu(report_) ? " (crashed)" : "");
      if (cpu.queue && !cpu.queue->tasks.empty()) {
        paragraph("run queue: " + queue_text(*cpu.queue));
      }
      registers(cpu.registers);
      if (cpu.stack) {
        frames(report_.stacks[*cpu.stack], 0);
      } else {
        paragraph("no stack: " + cpu.why_no_stack);
      }
      out_ += "</details>\n";
    }
  }

  void waiting() {
    heading("waiting", "Tasks in uninterruptible sleep");
    if (!is_known(report_.tasks)) {
      return;
    }
    if (report_.tasks.value->waiting.empty()) {
      paragraph("none");
    }
    for (const report::WaitingGroup& group : report_.tasks.value->waiting) {
      out_ += fmt::format("<details><summary>{} {} in {}</summary>\n", group.tasks,
                          group.tasks == 1 ? "waits" : "wait",
                          escaped(chain(report_.stacks[group.stack])));
      paragraph(names_text(group.names));
      if (const std::string wait = wait_text(group); !wait.empty()) {
        paragraph("for the " + wait);
      }
      frames(report_.stacks[group.stack], 0);
      out_ += "</details>\n";
    }
  }

  // A table that may be folded: each row is a size and a name.
  void sizes(std::string_view title, const std::vector<report::NamedBytes>& rows) {
    if (rows.empty()) {
      return;
    }
    out_ += fmt::format("<details><summary>{}</summary>\n<table>\n", title);
    for (const report::NamedBytes& row : rows) {
      if (row.bytes != 0) {
        out_ += fmt::format("<tr><td class=\"number\">{}</td><td>{}</td></tr>\n",
                            human_size(row.bytes), escaped(row.name));
      }
    }
    out_ += "</table>\n</details>\n";
  }

  void zones(const std::vector<report::ZoneUse>& zones) {
    out_ +=
        "<div class=\"wide\"><table>\n<tr><th>node</th><th>zone</th><th>free</th>"
        "<th>managed</th><th>low watermark</th></tr>\n";
    for (const report::ZoneUse& zone : zones) {
      out_ += fmt::format(
          "<tr><td>{}</td><td>{}</td><td class=\"number\">{}</td>"
          "<td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
          zone.node, escaped(zone.name), human_size(zone.free * kPageSize),
          human_size(zone.managed * kPageSize), human_size(zone.low * kPageSize));
    }
    out_ += "</table></div>\n";
  }

  void memory(const Result<std::string>& picture) {
    heading("memory", "Memory");
    if (is_known(report_.memory)) {
      const report::TriageMemory& memory = *report_.memory.value;
      zones(memory.zones);
      std::vector<report::NamedBytes> tasks;
      for (const report::TaskMemory& task : memory.tasks) {
        tasks.push_back({task_text(task.task), task.rss});
      }
      sizes("biggest tasks", tasks);
      sizes("biggest slabs", memory.slabs);
      sizes("counters", memory.counters);
    }
    if (!picture) {
      paragraph("no picture of memory: " + picture.error().message);
      return;
    }
    out_ += "<h3>What the pages are used for, by address</h3>\n<div class=\"wide\">\n";
    out_ += picture->substr(picture->find("<svg"));
    out_ += "</div>\n";
  }

  void files() {
    heading("files", "Mounts and open files");
    if (is_known(report_.mounts)) {
      out_ += "<details><summary>mounts</summary>\n<pre>";
      for (const report::Mount& mount : *report_.mounts.value) {
        out_ +=
            escaped(fmt::format("{} on {} type {}", mount.device, mount.point, mount.type)) + "\n";
      }
      out_ += "</pre>\n</details>\n";
    }
    if (report_.files.value) {
      out_ += "<details><summary>open files of the task that crashed</summary>\n<pre>";
      for (const report::OpenFile& file : *report_.files.value) {
        out_ += escaped(fmt::format("{:>4}  {}{}", file.number, file.path,
                                    file.socket ? " " + socket_text(*file.socket) : "")) +
                "\n";
      }
      out_ += "</pre>\n</details>\n";
    }
  }

  void modules() {
    heading("modules", "Modules");
    if (!is_known(report_.modules)) {
      return;
    }
    out_ += fmt::format("<details><summary>{}</summary>\n<table>\n", report_.modules.value->size());
    for (const report::TriageModule& module : *report_.modules.value) {
      out_ += fmt::format("<tr><td>{:#018x}</td><td class=\"number\">{}</td><td>{}{}</td></tr>\n",
                          module.address, human_size(module.size), escaped(module.name),
                          module.taints.empty() ? "" : escaped(" (" + module.taints + ")"));
    }
    out_ += "</table>\n</details>\n";
  }

  void tasks() {
    heading("tasks", "Tasks");
    if (!is_known(report_.tasks)) {
      return;
    }
    const report::TriageTasks& tasks = *report_.tasks.value;
    std::vector<std::string> counts;
    for (const auto& [state, count] : tasks.by_state) {
      counts.push_back(fmt::format("{} {}", count, state));
    }
    paragraph(fmt::format("{}: {}", tasks.total, joined(counts)));
    std::map<std::uint64_t, std::vector<report::TaskName>> by_stack;
    out_ +=
        "<details><summary>list</summary>\n<div class=\"wide\"><table>\n<tr><th>pid</th>"
        "<th>tgid</th><th>CPU</th><th>state</th><th>comm</th><th></th></tr>\n";
    for (const report::TriageTask& task : tasks.list) {
      const bool has_stack = task.stack && !task.on_cpu;
      out_ += fmt::format(
          "<tr><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>"
          "<td>{}</td><td>{}</td><td>{}</td></tr>\n",
          task.name.pid, task.name.tgid, task.cpu ? fmt::format("{}", *task.cpu) : "?",
          escaped(task.state), escaped(task.name.comm),
          has_stack     ? link_to_stack(*task.stack, "stack")
          : task.on_cpu ? "runs"
                        : "");
      if (has_stack) {
        by_stack[*task.stack].push_back(task.name);
      }
    }
    out_ += "</table></div>\n</details>\n";
    for (const auto& [stack, names] : by_stack) {
      out_ += fmt::format("<details id=\"stack{}\"><summary>{} {} in {}</summary>\n", stack,
                          names.size(), names.size() == 1 ? "task" : "tasks",
                          escaped(chain(report_.stacks[stack])));
      paragraph(names_text(names));
      frames(report_.stacks[stack], 0);
      out_ += "</details>\n";
    }
  }

  void log() {
    heading("log", "Last lines of the log");
    if (!is_known(report_.log)) {
      return;
    }
    out_ +=
        "<p><input id=\"find\" type=\"search\" placeholder=\"Show only lines with this text\" "
        "aria-label=\"Show only lines with this text\" hidden> <span id=\"found\" "
        "class=\"soft\" role=\"status\"></span></p>\n<pre class=\"log\">";
    for (const std::string& text : *report_.log.value) {
      out_ += fmt::format("<span>{}</span>", escaped(text));
    }
    out_ += "</pre>\n";
  }

  void remarks() {
    if (report_.remarks.empty()) {
      return;
    }
    heading("remarks", "Remarks of vmcorectl");
    out_ += "<ul>\n";
    for (const Remark& remark : report_.remarks) {
      out_ += fmt::format("<li>{}</li>\n", escaped(remark.text));
    }
    out_ += "</ul>\n";
  }

  const TriageReport& report_;
  std::string out_;
};

}  // namespace

std::string triage_page(const TriageReport& report, const PageTitle& title,
                        const Result<std::string>& picture) {
  const std::string body = Page(report).body(title, picture);
  // No text in the body can know the hash of the body.
  const std::string nonce = seal::sha256(body);
  return fmt::format(
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
             "style-src 'unsafe-inline'; script-src 'nonce-{0}'; img-src data:; base-uri 'none'; "
             "form-action 'none'\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<link rel=\"icon\" href=\"data:,\">\n<title>{1}</title>\n<style>{2}</style>\n"
             "</head>\n<body>\n",
             nonce, escaped("Report of " + title.name), kStyle) +
         body + fmt::format("<script nonce=\"{}\">{}</script>\n</body>\n</html>\n", nonce, kScript);
}

}  // namespace vmcore::show
