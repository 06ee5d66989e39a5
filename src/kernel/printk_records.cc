// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <optional>
#include <span>

#include "src/base/little_endian.h"
#include "src/kernel/printk_readers.h"
#include "src/kernel/read_window.h"

namespace vmcore::kernel {
namespace {

constexpr std::uint32_t kMaxBufferBytes = 1U << 31;  // LOG_BUF_LEN_MAX
constexpr std::uint64_t kMaxHeaderBytes = 256;

// struct printk_log, before v3.11 (62e32ac3505a) struct log.
struct RecordLayout {
  std::uint64_t header_bytes = 0;
  std::uint64_t time_at = 0;
  std::uint64_t length_at = 0;  // of the whole record
  std::uint64_t text_length_at = 0;
  std::uint64_t dict_length_at = 0;
  std::optional<std::uint64_t> caller_at;
};

Result<RecordLayout> record_layout(const Vmcoreinfo& info) {
  const std::string type = info.size("printk_log") ? "printk_log" : "log";
  RecordLayout layout;
  layout.header_bytes = info.size(type).value_or(0);
  const auto offset = [&](const char* member) {
    return info.offset(fmt::format("{}.{}", type, member)).value_or(kMaxHeaderBytes);
  };
  layout.time_at = offset("ts_nsec");
  layout.length_at = offset("len");
  layout.text_length_at = offset("text_len");
  // Exported since v4.14 or so; always behind text_len.
  layout.dict_length_at =
      info.offset(fmt::format("{}.dict_len", type)).value_or(layout.text_length_at + 2);
  layout.caller_at = info.offset(fmt::format("{}.caller_id", type));
  const std::uint64_t last =
      std::max({layout.time_at + 8, layout.length_at + 2, layout.text_length_at + 2,
                layout.dict_length_at + 4, layout.caller_at.value_or(0) + 4});
  if (layout.header_bytes > kMaxHeaderBytes || last > layout.header_bytes) {
    return fail(Errc::malformed, "kernel log: struct {} in VMCOREINFO is not plausible", type);
  }
  return layout;
}

Result<std::uint32_t> read_index(const GuestKernel& kernel, const char* name) {
  const auto symbol = kernel.info().symbol(name);
  if (!symbol) {
    return fail(Errc::not_found, "kernel log: VMCOREINFO has no {}", name);
  }
  return kernel.read_value<std::uint32_t>(*symbol);
}

class RecordReader {
 public:
  RecordReader(const GuestKernel& kernel, const RecordLayout& layout, VirtAddr buffer,
               std::uint32_t size)
      : layout_(layout), size_(size), buffer_(kernel, buffer, size) {
    summary_.callers = layout.caller_at.has_value();
  }

  LogSummary read(std::uint32_t first, std::uint32_t next,
                  const std::function<bool(const LogRecord&)>& each) {
    std::uint64_t at = first;
    // Each step but the wrap passes a header at least, so that a loop ends.
    for (std::uint64_t walked = 0; at != next && walked < size_;) {
      const auto header = buffer_.bytes(at, layout_.header_bytes);
      const std::uint64_t length =
          header ? load<std::uint16_t>(*header, layout_.length_at).value_or(0) : 0;
      if (header && length == 0 && at != 0) {
        walked += size_ - at;
        at = 0;  // "A length == 0 record is the end of buffer marker"
        continue;
      }
      if (length < layout_.header_bytes || !take(at, length, each)) {
        summary_.lost += length < layout_.header_bytes ? 1U : 0U;
        break;
      }
      walked += length;
      at += length;
    }
    return summary_;
  }

 private:
  // Whether to go on.
  bool take(std::uint64_t at, std::size_t length,
            const std::function<bool(const LogRecord&)>& each) {
    const auto bytes = buffer_.bytes(at, length);
    if (!bytes) {
      ++summary_.lost;
      return true;
    }
    LogRecord record;
    record.sequence = sequence_++;
    record.nanoseconds = load<std::uint64_t>(*bytes, layout_.time_at).value_or(0);
    record.facility = load<std::uint8_t>(*bytes, layout_.dict_length_at + 2).value_or(0);
    record.level = load<std::uint8_t>(*bytes, layout_.dict_length_at + 3).value_or(0) >> 5U;
    record.caller =
        layout_.caller_at ? load<std::uint32_t>(*bytes, *layout_.caller_at) : std::nullopt;
    const auto behind = bytes->subspan(layout_.header_bytes);
    const std::size_t text = std::min<std::size_t>(
        load<std::uint16_t>(*bytes, layout_.text_length_at).value_or(0), behind.size());
    record.text = {reinterpret_cast<const char*>(behind.data()), text};
    ++summary_.records;
    summary_.last_nanoseconds = record.nanoseconds;
    return each(record);
  }

  RecordLayout layout_;
  std::uint64_t size_;
  ReadWindow buffer_;
  std::uint64_t sequence_ = 0;  // log_first_seq is not exported
  LogSummary summary_;
};

}  // namespace

Result<LogSummary> read_printk_records(const GuestKernel& kernel,
                                       const std::function<bool(const LogRecord&)>& each) {
  TRY_ASSIGN(const RecordLayout layout, record_layout(kernel.info()));
  const auto buffer_at = kernel.info().symbol("log_buf");
  if (!buffer_at) {
    return fail(Errc::not_found, "kernel log: VMCOREINFO has no log_buf");
  }
  TRY_ASSIGN(const auto buffer, kernel.read_value<std::uint64_t>(*buffer_at));
  TRY_ASSIGN(const std::uint32_t size, read_index(kernel, "log_buf_len"));
  TRY_ASSIGN(const std::uint32_t first, read_index(kernel, "log_first_idx"));
  TRY_ASSIGN(const std::uint32_t next, read_index(kernel, "log_next_idx"));
  if (size > kMaxBufferBytes || first >= size || next >= size) {
    return fail(Errc::malformed,
                "kernel log: implausible positions {} to {} in a buffer of {} bytes", first, next,
                size);
  }
  return RecordReader(kernel, layout, {buffer}, size).read(first, next, each);
}

}  // namespace vmcore::kernel
