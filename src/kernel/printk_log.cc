#include "src/kernel/printk_log.h"

#include <array>

#include "src/kernel/printk_readers.h"

namespace vmcore::kernel {
namespace {

// The length of the UTF-8 sequence that `text` begins with, if it is a valid one of a character
// that terminals do not act on (the C1 controls, U+0080 to U+009F, are left out), else 0.
std::size_t utf8_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) {
    return 0;
  }
  std::uint32_t character = lead & (0xffU >> (length + 1));
  for (const char c : text.substr(1, length - 1)) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) != 0x80) {
      return 0;
    }
    character = (character << 6) | (byte & 0x3fU);
  }
  constexpr std::array<std::uint32_t, 5> kSmallest{0, 0, 0xa0, 0x800, 0x10000};
  const bool surrogate = character >= 0xd800 && character <= 0xdfff;
  return character >= kSmallest[length] && character <= 0x10ffff && !surrogate ? length : 0;
}

}  // namespace

Result<LogSummary> read_printk_log(const GuestKernel& kernel,
                                   const std::function<bool(const LogRecord&)>& each) {
  const Vmcoreinfo& info = kernel.info();
  if (info.symbol("prb")) {
    return read_printk_ring(kernel, each);
  }
  if (info.symbol("log_first_idx") && info.symbol("log_next_idx")) {
    return read_printk_records(kernel, each);
  }
  if (info.symbol("log_buf")) {
    return fail(Errc::unsupported, "kernel log: a buffer without records (before v3.5)");
  }
  return fail(Errc::not_found, "kernel log: not in VMCOREINFO");
}

std::string format_log_record(const LogRecord& record) {
  constexpr std::uint64_t kPerSecond = 1'000'000'000;
  std::string line = fmt::format("[{:5}.{:06}] ", record.nanoseconds / kPerSecond,
                                 record.nanoseconds % kPerSecond / 1000);
  const std::string indent(line.size(), ' ');
  for (std::size_t i = 0; i < record.text.size();) {
    const char c = record.text[i];
    std::size_t length = 1;
    if (c == '\n') {
      line += '\n' + indent;
    } else if ((c >= ' ' && c <= '~') || c == '\t') {
      line += c;
    } else if (const std::size_t utf8 = utf8_length(record.text.substr(i)); utf8 != 0) {
      length = utf8;
      line += record.text.substr(i, length);
    } else {
      line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    i += length;
  }
  line += '\n';
  return line;
}

}  // namespace vmcore::kernel
