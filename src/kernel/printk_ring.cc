// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <span>

#include "src/base/little_endian.h"
#include "src/kernel/printk_readers.h"
#include "src/kernel/read_window.h"

// Names and rules are those of kernel/printk/printk_ringbuffer.c.
namespace vmcore::kernel {
namespace {

// A log_buf_len of 512 MiB: the kernel takes up to 2 GiB, but its own sums give a few MiB. There is
// a descriptor for each 32 bytes.
constexpr unsigned kMaxTextBits = 29;
constexpr unsigned kMaxDescBits = 24;
constexpr std::uint64_t kMaxStructBytes = 256;
constexpr std::size_t kMaxTextBytes = 0xffff;  // text_len has 16 bits

// The two highest bits of a descriptor's state_var are its state.
constexpr unsigned kStateShift = 62;
constexpr std::uint64_t kIdMask = ~(3ULL << kStateShift);
constexpr std::uint64_t kCommitted = 1;
constexpr std::uint64_t kFinalized = 2;

// An odd position is none: the record has no text, or lost it.
constexpr std::uint64_t kEmptyLine = 3;

struct RingLayout {
  std::uint64_t desc_bytes = 0;
  std::uint64_t state_at = 0;
  std::uint64_t begin_at = 0;  // of text_blk_lpos.begin in a descriptor
  std::uint64_t next_at = 0;
  std::uint64_t info_bytes = 0;
  std::uint64_t sequence_at = 0;
  std::uint64_t time_at = 0;
  std::uint64_t text_length_at = 0;
  std::optional<std::uint64_t> caller_at;
  VirtAddr descs;
  VirtAddr infos;
  VirtAddr text;
  unsigned desc_bits = 0;
  unsigned text_bits = 0;
  std::uint64_t tail_id = 0;
  std::uint64_t head_id = 0;
};

// Reads sizes and offsets of VMCOREINFO; remembers the first that is missing or implausible.
class Fields {
 public:
  explicit Fields(const Vmcoreinfo& info) : info_(&info) {}
  std::uint64_t size(const char* type) { return checked(info_->size(type), type); }
  std::uint64_t offset(const char* member) { return checked(info_->offset(member), member); }
  Result<> result() const {
    if (missing_ != nullptr) {
      return fail(Errc::malformed, "kernel log: {} in VMCOREINFO is not plausible", missing_);
    }
    return {};
  }
  // Records that a member of `bytes` at `offset` has to lie in a struct of `size`.
  void within(std::uint64_t offset, std::uint64_t bytes, std::uint64_t size, const char* what) {
    if (offset > size || size - offset < bytes) {
      missing_ = what;
    }
  }

 private:
  std::uint64_t checked(std::optional<std::uint64_t> value, const char* what) {
    if (!value || *value > kMaxStructBytes) {
      missing_ = what;
    }
    return value.value_or(0);
  }
  const Vmcoreinfo* info_;
  const char* missing_ = nullptr;
};

Result<> read_sizes(const Vmcoreinfo& info, Fields& fields, RingLayout& layout) {
  layout.desc_bytes = fields.size("prb_desc");
  layout.state_at = fields.offset("prb_desc.state_var") + fields.offset("atomic_long_t.counter");
  const std::uint64_t block_at = fields.offset("prb_desc.text_blk_lpos");
  layout.begin_at = block_at + fields.offset("prb_data_blk_lpos.begin");
  layout.next_at = block_at + fields.offset("prb_data_blk_lpos.next");
  layout.info_bytes = fields.size("printk_info");
  layout.sequence_at = fields.offset("printk_info.seq");
  layout.time_at = fields.offset("printk_info.ts_nsec");
  layout.text_length_at = fields.offset("printk_info.text_len");
  layout.caller_at = info.offset("printk_info.caller_id");
  for (const std::uint64_t at : {layout.state_at, layout.begin_at, layout.next_at}) {
    fields.within(at, 8, layout.desc_bytes, "prb_desc");
  }
  for (const std::uint64_t at : {layout.sequence_at, layout.time_at}) {
    fields.within(at, 8, layout.info_bytes, "printk_info");
  }
  if (layout.caller_at) {
    fields.within(*layout.caller_at, 4, layout.info_bytes, "printk_info.caller_id");
  }
  // facility and level follow text_len, see take().
  fields.within(layout.text_length_at, 4, layout.info_bytes, "printk_info.text_len");
  return fields.result();
}

Result<> read_rings(const GuestKernel& kernel, Fields& fields, RingLayout& layout) {
  TRY_ASSIGN(const auto prb,
             kernel.read_value<std::uint64_t>(kernel.info().symbol("prb").value_or(VirtAddr{})));
  const VirtAddr desc_ring = VirtAddr{prb} + fields.offset("printk_ringbuffer.desc_ring");
  const VirtAddr data_ring = VirtAddr{prb} + fields.offset("printk_ringbuffer.text_data_ring");
  const std::uint64_t counter = fields.offset("atomic_long_t.counter");
  const auto pointer = [&](VirtAddr at) { return kernel.read_value<std::uint64_t>(at); };
  TRY_ASSIGN(layout.desc_bits, kernel.read_value<std::uint32_t>(
                                   desc_ring + fields.offset("prb_desc_ring.count_bits")));
  TRY_ASSIGN(layout.descs.value, pointer(desc_ring + fields.offset("prb_desc_ring.descs")));
  TRY_ASSIGN(layout.infos.value, pointer(desc_ring + fields.offset("prb_desc_ring.infos")));
  TRY_ASSIGN(layout.head_id, pointer(desc_ring + fields.offset("prb_desc_ring.head_id") + counter));
  TRY_ASSIGN(layout.tail_id, pointer(desc_ring + fields.offset("prb_desc_ring.tail_id") + counter));
  TRY_ASSIGN(layout.text_bits, kernel.read_value<std::uint32_t>(
                                   data_ring + fields.offset("prb_data_ring.size_bits")));
  TRY_ASSIGN(layout.text.value, pointer(data_ring + fields.offset("prb_data_ring.data")));
  TRY(fields.result());
  if (layout.desc_bits == 0 || layout.desc_bits > kMaxDescBits || layout.text_bits < 4 ||
      layout.text_bits > kMaxTextBits) {
    return fail(Errc::limit, "kernel log: implausible rings of 2^{} descriptors and 2^{} bytes",
                layout.desc_bits, layout.text_bits);
  }
  return {};
}

// Where the text of a record lies in its ring, its block's id included.
struct Block {
  std::uint64_t at = 0;
  std::uint64_t size = 0;
};

// get_data(). A block that would pass the end of the ring lies at its beginning instead; one that
// ends exactly there stays where it is since v6.19 (67e1b0052f6b), and did not exist before.
std::optional<Block> text_block(const RingLayout& layout, std::uint64_t begin, std::uint64_t next) {
  const std::uint64_t ring = 1ULL << layout.text_bits;
  const std::uint64_t last = next - 1;
  Block block{begin % ring, next - begin};
  if (begin / ring != last / ring) {
    if ((begin + ring) / ring != last / ring) {
      return std::nullopt;
    }
    block = {0, next % ring};
  }
  if (next <= begin || block.size <= sizeof(std::uint64_t) || block.size > ring - block.at) {
    return std::nullopt;
  }
  return block;
}

class RingReader {
 public:
  RingReader(const GuestKernel& kernel, const RingLayout& layout)
      : layout_(layout),
        count_(1ULL << layout.desc_bits),
        descs_(kernel, layout.descs, count_ * layout.desc_bytes),
        infos_(kernel, layout.infos, count_ * layout.info_bytes),
        text_(kernel, layout.text, 1ULL << layout.text_bits) {
    summary_.callers = layout.caller_at.has_value();
  }

  LogSummary read(const std::function<bool(const LogRecord&)>& each) {
    std::uint64_t id = layout_.tail_id & kIdMask;
    const std::uint64_t head = layout_.head_id & kIdMask;
    const std::uint64_t used = std::min(((head - id) & kIdMask) + 1, count_);
    for (std::uint64_t i = 0; i < used; ++i, id = (id + 1) & kIdMask) {
      if (!take(id, each)) {
        break;
      }
    }
    return summary_;
  }

 private:
  // Whether to go on. Genuine texts do not overlap, so that they fit the ring together.
  bool take(std::uint64_t id, const std::function<bool(const LogRecord&)>& each) {
    const std::uint64_t index = id % count_;
    const auto desc = descs_.bytes(index * layout_.desc_bytes, layout_.desc_bytes);
    if (!desc) {
      ++summary_.lost;
      return true;
    }
    const std::uint64_t state = load<std::uint64_t>(*desc, layout_.state_at).value_or(0);
    const bool readable = state >> kStateShift == kCommitted || state >> kStateShift == kFinalized;
    if (!readable || (state & kIdMask) != id) {
      return true;  // reserved by a writer that was interrupted, or free again
    }
    const auto info = infos_.bytes(index * layout_.info_bytes, layout_.info_bytes);
    const auto text = info ? text_of(id, *desc, *info) : std::nullopt;
    text_bytes_ += text ? text->size() : 0;
    if (!text || text_bytes_ > 1ULL << layout_.text_bits) {
      ++summary_.lost;
      return true;
    }
    LogRecord record;
    record.sequence = load<std::uint64_t>(*info, layout_.sequence_at).value_or(0);
    record.nanoseconds = load<std::uint64_t>(*info, layout_.time_at).value_or(0);
    // struct printk_info: u16 text_len; u8 facility; u8 flags:5, level:3 (v5.10).
    record.facility = load<std::uint8_t>(*info, layout_.text_length_at + 2).value_or(0);
    record.level = load<std::uint8_t>(*info, layout_.text_length_at + 3).value_or(0) >> 5U;
    record.caller =
        layout_.caller_at ? load<std::uint32_t>(*info, *layout_.caller_at) : std::nullopt;
    record.text = *text;
    ++summary_.records;
    summary_.last_nanoseconds = record.nanoseconds;
    return each(record);
  }

  std::optional<std::string_view> text_of(std::uint64_t id, std::span<const std::byte> desc,
                                          std::span<const std::byte> info) {
    const std::uint64_t begin = load<std::uint64_t>(desc, layout_.begin_at).value_or(0);
    const std::uint64_t next = load<std::uint64_t>(desc, layout_.next_at).value_or(0);
    const std::size_t length = load<std::uint16_t>(info, layout_.text_length_at).value_or(0);
    if ((begin & next & 1) != 0) {
      return begin == kEmptyLine && next == kEmptyLine ? std::optional<std::string_view>("")
                                                       : std::nullopt;
    }
    const auto block = text_block(layout_, begin, next);
    if (!block) {
      return std::nullopt;
    }
    const std::size_t wanted = std::min<std::uint64_t>(
        block->size, sizeof(std::uint64_t) + std::min(length, kMaxTextBytes));
    const auto bytes = text_.bytes(block->at, wanted);
    if (!bytes || load<std::uint64_t>(*bytes, 0) != id) {
      return std::nullopt;  // overwritten by a later record
    }
    const auto text = bytes->subspan(sizeof(std::uint64_t));
    return std::string_view(reinterpret_cast<const char*>(text.data()), text.size());
  }

  RingLayout layout_;
  std::uint64_t count_;
  ReadWindow descs_;
  ReadWindow infos_;
  ReadWindow text_;
  std::uint64_t text_bytes_ = 0;  // of all records taken
  LogSummary summary_;
};

}  // namespace

Result<LogSummary> read_printk_ring(const GuestKernel& kernel,
                                    const std::function<bool(const LogRecord&)>& each) {
  Fields fields(kernel.info());
  RingLayout layout;
  TRY(read_sizes(kernel.info(), fields, layout));
  TRY(read_rings(kernel, fields, layout));
  return RingReader(kernel, layout).read(each);
}

}  // namespace vmcore::kernel
