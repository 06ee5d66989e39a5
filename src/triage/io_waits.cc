// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/io_waits.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "src/triage/stack_words.h"

namespace vmcore::triage {
namespace {

constexpr std::uint64_t kNoFlag = ~0ULL;
constexpr std::uint64_t kMostFlags = 64;
constexpr std::int64_t kBufferLock = 2;  // BH_Lock

bool passes(const report::TriageStack& stack, std::initializer_list<std::string_view> functions) {
  return std::ranges::any_of(stack.frames, [&](const report::TriageFrame& frame) {
    return std::ranges::find(functions, frame.function) != functions.end();
  });
}

std::uint64_t page_flag(const Knowledge& knowledge, const char* name) {
  const auto flag = knowledge.btf ? knowledge.btf->enumerator(name, "pageflags")
                                  : tl::unexpected(knowledge.btf.error());
  return flag ? static_cast<std::uint64_t>(*flag) : kNoFlag;
}

}  // namespace

// A waiter's struct wait_queue_entry, by offsets in bytes.
struct IoWaitFinder::Waiter {
  std::uint64_t task = 0, function = 0, list = 0;
  VirtAddr wakes;  // what `function` has to be
};

IoWaitFinder::IoWaitFinder(Knowledge& knowledge)
    : knowledge_(&knowledge),
      locked_(page_flag(knowledge, "PG_locked")),
      writeback_(page_flag(knowledge, "PG_writeback")) {}

Result<IoWaitFinder::Waiter> IoWaitFinder::waiter(const std::string& type, const std::string& entry,
                                                  const char* wakes) {
  const std::string path = fmt::format("{}.{}.", type, entry);
  Waiter waiter;
  TRY_ASSIGN(const auto task, knowledge_->field(path + "private"));
  TRY_ASSIGN(const auto function, knowledge_->field(path + "func"));
  TRY_ASSIGN(const auto list, knowledge_->field(path + "entry"));
  TRY_ASSIGN(waiter.wakes, knowledge_->symbol(wakes));
  waiter.task = task.offset();
  waiter.function = function.offset();
  waiter.list = list.offset();
  return waiter;
}

bool IoWaitFinder::is_waiter(const Waiter& waiter, VirtAddr at) {
  constexpr std::uint64_t kPrev = 8;
  const auto word = [&](VirtAddr place) {
    return knowledge_->kernel.read_value<std::uint64_t>(place);
  };
  const VirtAddr entry = at + waiter.list;
  const auto next = word(entry);
  const auto back = next ? word(VirtAddr{*next} + kPrev) : tl::unexpected(next.error());
  return word(at + waiter.function) == waiter.wakes.value && back == entry.value &&
         *next != entry.value;
}

// The file that the page is a part of. A page of a process has none: the lowest bits of its mapping
// tell.
void IoWaitFinder::describe_page(VirtAddr page, report::IoWait& wait) {
  constexpr std::uint64_t kNoFile = 3;
  auto mapping = knowledge_->number(page, "folio.mapping");
  if (!mapping) {
    mapping = knowledge_->number(page, "page.mapping");
  }
  if (!mapping || *mapping == 0 || (*mapping & kNoFile) != 0) {
    return;
  }
  const auto inode = knowledge_->pointer({*mapping}, "address_space.host");
  const auto super = inode ? knowledge_->pointer(*inode, "inode.i_sb") : inode;
  const auto type = super ? knowledge_->pointer(*super, "super_block.s_type") : super;
  const auto name = type ? knowledge_->pointer(*type, "file_system_type.name") : type;
  if (!name) {
    return;
  }
  wait.device = knowledge_->text(*super, "super_block.s_id").value_or("");
  wait.file_system = knowledge_->text_at(*name, report::kMaxName).value_or("");
  if (const auto number = knowledge_->number(*inode, "inode.i_ino")) {
    wait.inode = *number;
  }
}

std::optional<report::IoWait> IoWaitFinder::for_page(VirtAddr at) {
  // struct page until v5.15, struct folio since v5.16, which begins with the struct page.
  auto page = knowledge_->pointer(at, "wait_page_queue.folio");
  if (!page) {
    page = knowledge_->pointer(at, "wait_page_queue.page");
  }
  const auto bit = knowledge_->number(at, "wait_page_queue.bit_nr");
  if (!page || !bit || *bit >= kMostFlags) {
    return std::nullopt;
  }
  report::IoWait wait{.kind = *bit == locked_      ? "page_lock"
                              : *bit == writeback_ ? "page_writeback"
                                                   : "page_bit",
                      .address = page->value};
  describe_page(*page, wait);
  return wait;
}

std::optional<report::IoWait> IoWaitFinder::for_buffer(VirtAddr at) {
  const auto word = knowledge_->pointer(at, "wait_bit_queue_entry.key.flags");
  const auto bit = knowledge_->number(at, "wait_bit_queue_entry.key.bit_nr");
  const auto state = knowledge_->field("buffer_head.b_state");
  const auto lock = knowledge_->btf->enumerator("BH_Lock", "bh_state_bits");
  if (!word || !bit || !state || *bit != static_cast<std::uint64_t>(lock.value_or(kBufferLock))) {
    return std::nullopt;
  }
  const VirtAddr buffer{word->value - state->offset()};
  report::IoWait wait{.kind = "buffer", .address = buffer.value};
  if (const auto block = knowledge_->number(buffer, "buffer_head.b_blocknr")) {
    wait.block = *block;
  }
  const auto device = knowledge_->pointer(buffer, "buffer_head.b_bdev");
  const auto disk = device ? knowledge_->pointer(*device, "block_device.bd_disk") : device;
  if (disk) {
    wait.device = knowledge_->text(*disk, "gendisk.disk_name").value_or("");
  }
  return wait;
}

std::optional<report::IoWait> IoWaitFinder::find(const kernel::Task& task,
                                                 const report::TriageStack& stack) {
  const auto page = waiter("wait_page_queue", "wait", "wake_page_function");
  const auto bit = waiter("wait_bit_queue_entry", "wq_entry", "wake_bit_function");
  // These may be on no stack, because their last call is a jump. Then a disk has to be at the end.
  const bool of_buffer = passes(stack, {"__wait_on_buffer", "__lock_buffer"});
  const bool of_bit = of_buffer || passes(stack, {"bit_wait_io"});
  for (const VirtAddr at : mentions_of(*knowledge_, task)) {
    if (page && is_waiter(*page, {at.value - page->task})) {
      return for_page({at.value - page->task});
    }
    if (bit && of_bit && is_waiter(*bit, {at.value - bit->task})) {
      const auto wait = for_buffer({at.value - bit->task});
      if (wait && (of_buffer || !wait->device.empty())) {
        return wait;
      }
    }
  }
  const auto waits = knowledge_->number(task.address, "task_struct.in_iowait");
  return waits.value_or(0) != 0 ? std::optional(report::IoWait{.kind = "io"}) : std::nullopt;
}

}  // namespace vmcore::triage
