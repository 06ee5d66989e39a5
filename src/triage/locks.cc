// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/locks.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "src/triage/cpus.h"
#include "src/triage/stack_words.h"

namespace vmcore::triage {
namespace {

constexpr std::size_t kMaxWaiters = 10'000;
constexpr std::uint64_t kWord = 8;

// The kind of lock that a function waits for: __mutex_lock.constprop.0, rwsem_down_read_slowpath.
const char* lock_in(const report::TriageStack& stack) {
  for (const report::TriageFrame& frame : stack.frames) {
    if (frame.function.starts_with("__mutex_lock")) {
      return "mutex";
    }
    if (frame.function.starts_with("rwsem_down_")) {
      return "rw_semaphore";
    }
  }
  return nullptr;
}

}  // namespace

// Offsets of a lock and of its waiters, in bytes.
struct LockFinder::Kind {
  std::string name;
  std::uint64_t list = 0, task = 0;        // of the waiter
  std::uint64_t wait_list = 0, owner = 0;  // of the lock
  // What the low bits of the owner say. MUTEX_FLAGS, or RWSEM_READER_OWNED and
  // RWSEM_NONSPINNABLE: with the first of them the owner is only one of the readers.
  std::uint64_t flags = 0, shared = 0;
};

LockFinder::LockFinder(Knowledge& knowledge, const std::vector<kernel::Task>& tasks)
    : knowledge_(&knowledge) {
  for (const kernel::Task& task : tasks) {
    tasks_.emplace(task.address, &task);
  }
}

Result<LockFinder::Kind> LockFinder::kind_of(const char* name) {
  const bool is_mutex = std::string_view(name) == "mutex";
  const std::string waiter = is_mutex ? "mutex_waiter" : "rwsem_waiter";
  Kind kind{.name = name};
  TRY_ASSIGN(const auto list, knowledge_->field(waiter + ".list"));
  TRY_ASSIGN(const auto task, knowledge_->field(waiter + ".task"));
  TRY_ASSIGN(const auto wait_list, knowledge_->field(kind.name + ".wait_list"));
  TRY_ASSIGN(const auto owner, knowledge_->field(kind.name + ".owner"));
  kind.list = list.offset();
  kind.task = task.offset();
  kind.wait_list = wait_list.offset();
  kind.owner = owner.offset();
  kind.flags = is_mutex ? 7 : 3;
  kind.shared = is_mutex ? 0 : 1;
  return kind;
}

std::optional<VirtAddr> LockFinder::lock_of(const Kind& kind, VirtAddr waiter) {
  const VirtAddr begin = waiter + kind.list;
  std::optional<VirtAddr> lock;
  VirtAddr before = begin;
  for (std::size_t i = 0; i < kMaxWaiters; ++i) {
    const auto next = knowledge_->kernel.read_value<std::uint64_t>(before);
    const auto back = next ? knowledge_->kernel.read_value<std::uint64_t>({*next + kWord})
                           : tl::unexpected(next.error());
    if (!back || *back != before.value) {
      return std::nullopt;
    }
    const VirtAddr at{*next};
    if (at == begin) {
      return lock;
    }
    const auto task =
        knowledge_->kernel.read_value<std::uint64_t>({at.value - kind.list + kind.task});
    if (!task || !tasks_.contains({*task})) {
      if (lock) {
        return std::nullopt;
      }
      lock = VirtAddr{at.value - kind.wait_list};
    }
    before = at;
  }
  return std::nullopt;
}

std::optional<report::LockWait> LockFinder::at(const Kind& kind, VirtAddr waiter) {
  const auto lock = lock_of(kind, waiter);
  const auto word = lock ? knowledge_->kernel.read_value<std::uint64_t>(*lock + kind.owner)
                         : fail(Errc::not_found, "no lock");
  if (!word) {
    return std::nullopt;
  }
  report::LockWait wait{.kind = kind.name, .address = lock->value};
  const auto owner = tasks_.find({*word & ~kind.flags});
  if (owner != tasks_.end() && (*word & kind.shared) == 0) {
    wait.owner = name_of(*owner->second);
  } else if ((*word & ~kind.flags) != 0 && (*word & kind.shared) == 0) {
    return std::nullopt;
  }
  return wait;
}

std::optional<report::LockWait> LockFinder::find(const kernel::Task& task,
                                                 const report::TriageStack& stack) {
  const char* const name = lock_in(stack);
  const auto kind = name != nullptr ? kind_of(name) : fail(Errc::not_found, "no lock");
  if (!kind) {
    return std::nullopt;
  }
  for (const VirtAddr place : mentions_of(*knowledge_, task)) {
    if (auto wait = at(*kind, {place.value - kind->task})) {
      return wait;
    }
  }
  return std::nullopt;
}

}  // namespace vmcore::triage
