// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/cpus.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "src/kernel/arch/arch.h"
#include "src/triage/run_queue.h"

namespace vmcore::triage {
namespace {

using Offsets = std::vector<std::uint64_t>;

// The vCPU of each Linux CPU, or null: by the base of per-CPU data in its registers.
std::vector<const CpuState*> vcpus_by_base(const Knowledge& knowledge, const Offsets& offsets) {
  std::vector<const CpuState*> vcpus(offsets.size());
  for (const CpuState& cpu : knowledge.image.cpus) {
    for (const auto& base : knowledge.kernel.arch().per_cpu_bases(cpu)) {
      const auto found = base && *base != 0 ? std::ranges::find(offsets, *base) : offsets.end();
      if (found != offsets.end()) {
        vcpus[static_cast<std::size_t>(found - offsets.begin())] = &cpu;
        break;
      }
    }
  }
  return vcpus;
}

std::vector<const CpuState*> vcpus_of(const Knowledge& knowledge, const Offsets& offsets,
                                      std::vector<Remark>& remarks) {
  auto vcpus = vcpus_by_base(knowledge, offsets);
  const auto& given = knowledge.image.cpus;
  if (given.empty() || std::ranges::any_of(vcpus, [](const auto* cpu) { return cpu != nullptr; })) {
    return vcpus;
  }
  for (std::size_t i = 0; i < std::min(given.size(), vcpus.size()); ++i) {
    vcpus[i] = &given[i];
  }
  remarks.push_back({Errc::not_found,
                     "no register tells which vCPU is which CPU of Linux: the CPUs have the order "
                     "of the dump"});
  return vcpus;
}

// Of a running guest only the first ones are known.
std::vector<report::NamedRegister> registers_of(const CpuState& cpu, bool live) {
  constexpr std::size_t kOfRunning = 4;
  std::vector<report::NamedRegister> registers;
  for (const RegisterValue& each : named_registers(cpu)) {
    if (!live || registers.size() < kOfRunning) {
      registers.push_back({std::string(each.name), each.value});
    }
  }
  return registers;
}

// The idle task runs its own loop on its own stack: no interrupt, no panic.
bool is_idle(const kernel::Task& task, const report::TriageStack& stack) {
  constexpr std::array<std::string_view, 2> kLoops{"do_idle", "cpu_startup_entry"};
  const bool loops = std::ranges::any_of(stack.frames, [&](const report::TriageFrame& frame) {
    return std::ranges::find(kLoops, frame.function) != kLoops.end();
  });
  const auto interrupted = std::count_if(stack.frames.begin(), stack.frames.end(),
                                         [](const auto& frame) { return frame.exact; });
  return task.pid == 0 && loops && interrupted <= 1;
}

class Finder {
 public:
  Finder(Knowledge& knowledge, StackTable& stacks, bool live)
      : knowledge_(&knowledge), stacks_(&stacks), queues_(knowledge), live_(live) {}

  CpuFinding find(std::size_t number, const CpuState* vcpu) {
    CpuFinding finding;
    finding.cpu.number = static_cast<unsigned>(number);
    finding.task = task_of(number);
    if (finding.task) {
      finding.cpu.task = name_of(*finding.task);
    }
    const auto queue = knowledge_->per_cpu("runqueues", number);
    const auto runnable =
        queue ? knowledge_->number(*queue, "rq.nr_running") : tl::unexpected(queue.error());
    if (runnable && *runnable < kernel::kMaxTasks) {
      finding.cpu.runnable = *runnable;
      finding.cpu.queue = queues_.read(*queue);
    }
    if (vcpu == nullptr) {
      finding.cpu.why_no_stack = "no vCPU of the dump tells that it runs this CPU";
      return finding;
    }
    finding.cpu.registers = registers_of(*vcpu, live_);
    add_stack(*vcpu, finding);
    return finding;
  }

 private:
  std::optional<kernel::Task> task_of(std::size_t number) {
    if (!knowledge_->btf || !knowledge_->task_layout) {
      return std::nullopt;
    }
    const auto address =
        kernel::current_task(knowledge_->kernel, knowledge_->kallsyms, *knowledge_->btf,
                             knowledge_->per_cpu_offsets->at(number));
    auto task = address ? kernel::read_task(knowledge_->kernel, *knowledge_->task_layout, *address)
                        : tl::unexpected(address.error());
    return task ? std::optional(*std::move(task)) : std::nullopt;
  }

  void add_stack(const CpuState& vcpu, CpuFinding& finding) {
    report::TriageCpu& cpu = finding.cpu;
    cpu.mode = vcpu.user_mode() ? "user" : "kernel";
    if (vcpu.user_mode()) {
      cpu.why_no_stack = "the CPU is in user mode";
      return;
    }
    if (!knowledge_->unwinder) {
      cpu.why_no_stack = knowledge_->unwinder.error().message;
      return;
    }
    finding.trace = knowledge_->unwinder->from({vcpu.rip, vcpu.rsp, vcpu.rbp});
    cpu.stack = stacks_->add(finding.trace, finding.task ? finding.task->stack : VirtAddr{});
    if (!cpu.stack) {
      cpu.why_no_stack = "the report has no room for more stacks";
    } else if (finding.task && is_idle(*finding.task, stacks_->at(*cpu.stack))) {
      cpu.mode = "idle";
    }
  }

  Knowledge* knowledge_;
  StackTable* stacks_;
  RunQueueReader queues_;
  bool live_;
};

}  // namespace

report::TaskName name_of(const kernel::Task& task) {
  return {.pid = task.pid, .tgid = task.tgid, .comm = task.comm};
}

Result<std::vector<CpuFinding>> find_cpus(Knowledge& knowledge, StackTable& stacks, bool live,
                                          std::vector<Remark>& remarks) {
  TRY_ASSIGN(const auto& offsets, knowledge.per_cpu_offsets);
  const auto vcpus = vcpus_of(knowledge, offsets, remarks);
  const auto present = knowledge.cpu_mask("__cpu_present_mask");
  const auto online = knowledge.cpu_mask("__cpu_online_mask");
  Finder finder(knowledge, stacks, live);
  std::vector<CpuFinding> findings;
  for (std::size_t i = 0; i < std::min(offsets.size(), report::kMaxCpus); ++i) {
    if (vcpus[i] == nullptr && (!present || !(*present)[i])) {
      continue;
    }
    findings.push_back(finder.find(i, vcpus[i]));
    if (online) {
      findings.back().cpu.online = (*online)[i];
    }
  }
  return findings;
}

}  // namespace vmcore::triage
