// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/kallsyms_search.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "src/base/little_endian.h"
#include "src/kernel/address_layout.h"
#include "src/kernel/arch/arch.h"
#include "src/kernel/read_window.h"

namespace vmcore::kernel {
namespace {

constexpr std::size_t kTokens = 256;
constexpr std::uint64_t kNamesPerMarker = 256;
constexpr std::uint64_t kMaxMarkers = kMaxSymbols / kNamesPerMarker;
constexpr std::uint64_t kMaxGroupBytes = kNamesPerMarker * (kMaxSymbolBytes + 2);
constexpr std::size_t kPage = 4096;
constexpr std::size_t kPiece = 256 << 10;

// What a search that a guest misleads may cost.
constexpr unsigned kMaxTables = 64;                   // token tables that are looked at
constexpr std::uint64_t kMaxSteps = 4 * kMaxSymbols;  // names that are stepped over

// Every name of a digit is a token of its own, for no token begins with one of another meaning
// (scripts/kallsyms.c, insert_real_symbols_in_table()).
constexpr std::string_view kDigits{"0\0001\0002\0003\0004\0005\0006\0007\0008\0009\0", 20};
constexpr std::size_t kFirstDigit = '0';

VirtAddr aligned(VirtAddr address, std::uint64_t align) {
  return {(address.value + align - 1) & ~(align - 1)};
}

class TableSearch {
 public:
  // In the kernel's image, which is [begin, begin + size).
  TableSearch(const GuestKernel& kernel, VirtAddr begin, std::uint64_t size)
      : kernel_(&kernel), begin_(begin), size_(size) {}

  // Calls each(address) where the digits are until it returns true.
  template <class Each>
  void for_each_digits(Each each) const;
  // The token table whose digits are there.
  Result<KallsymsTables> token_table(VirtAddr digits) const;
  // Adds the names that lie before the token table, and their number.
  Result<> add_names(KallsymsTables& tables);

 private:
  Result<> check_tokens(const KallsymsTables& tables, VirtAddr end) const;
  Result<std::vector<std::uint32_t>> markers(VirtAddr end) const;
  // Whether `count` names from there on fit to the markers, which lie at `end`.
  bool fits(VirtAddr names, std::uint32_t count, std::span<const std::uint32_t> markers,
            VirtAddr end);

  const GuestKernel* kernel_;
  VirtAddr begin_;
  std::uint64_t size_;
  std::uint64_t steps_ = 0;
};

template <class Each>
void TableSearch::for_each_digits(Each each) const {
  std::vector<std::byte> piece(kPiece);
  for (std::uint64_t done = 0; done < size_;) {
    const std::uint64_t wanted = std::min<std::uint64_t>(kPiece, size_ - done);
    const auto got = kernel_->read(begin_ + done, std::span(piece).first(wanted));
    if (!got) {
      return;
    }
    const std::string_view text(reinterpret_cast<const char*>(piece.data()), got->good);
    for (std::size_t at = text.find(kDigits); at != std::string_view::npos;
         at = text.find(kDigits, at + 1)) {
      if (each(begin_ + done + at)) {
        return;
      }
    }
    if (got->good < wanted) {
      done = (done + got->good) / kPage * kPage + kPage;  // past the page that cannot be read
    } else {
      done += wanted == kPiece ? kPiece - kDigits.size() : wanted;
    }
  }
}

Result<KallsymsTables> TableSearch::token_table(VirtAddr digits) const {
  ReadWindow window(*kernel_, digits, kMaxTokenTable + kTokens * 2);
  std::uint64_t end = 0;
  for (std::size_t token = kFirstDigit; token < kTokens; ++token) {
    for (std::size_t length = 0;; ++length, ++end) {
      TRY_ASSIGN(const auto byte, window.bytes(end, 1));
      if (byte[0] == std::byte{0}) {
        break;
      }
      if (length == kMaxSymbolBytes) {
        return fail(Errc::not_found, "no token table");
      }
    }
    ++end;
  }
  for (const std::uint64_t align : {4U, 8U}) {
    KallsymsTables tables;
    tables.token_index = aligned(digits + end, align);
    TRY_ASSIGN(const auto digit,
               kernel_->read_value<std::uint16_t>(tables.token_index + kFirstDigit * 2));
    tables.token_table = {digits.value - digit};
    if (check_tokens(tables, digits + end)) {
      return tables;
    }
  }
  return fail(Errc::not_found, "no token index");
}

Result<> TableSearch::check_tokens(const KallsymsTables& tables, VirtAddr end) const {
  if (end <= tables.token_table || end - tables.token_table > kMaxTokenTable) {
    return fail(Errc::not_found, "no token table");
  }
  std::array<std::uint16_t, kTokens> index{};
  TRY(kernel_->read_exactly(tables.token_index, std::as_writable_bytes(std::span(index))));
  std::vector<char> table(end - tables.token_table);
  TRY(kernel_->read_exactly(tables.token_table, std::as_writable_bytes(std::span(table))));
  std::size_t at = 0;
  for (const std::uint16_t begin : index) {
    if (begin != at || at >= table.size()) {
      return fail(Errc::not_found, "no token index");
    }
    at = static_cast<std::size_t>(std::find(table.begin() + begin, table.end(), '\0') -
                                  table.begin()) +
         1;
  }
  return {};
}

// Those that end at `end`.
Result<std::vector<std::uint32_t>> TableSearch::markers(VirtAddr end) const {
  constexpr std::size_t kAtOnce = 1024;
  std::vector<std::uint32_t> found;  // the last first
  std::array<std::uint32_t, kAtOnce> piece{};
  for (VirtAddr at = end; found.size() < kMaxMarkers;) {
    const std::size_t count = std::min<std::uint64_t>(kAtOnce, at.value % kPage / 4);
    const auto part = std::span(piece).first(count == 0 ? kPage / 4 : count);
    at = {at.value - part.size_bytes()};
    TRY(kernel_->read_exactly(at, std::as_writable_bytes(part)));
    for (std::size_t i = part.size(); i-- > 0;) {
      if (!found.empty() && part[i] >= found.back()) {
        return fail(Errc::not_found, "no markers");
      }
      found.push_back(part[i]);
      if (part[i] == 0) {
        std::ranges::reverse(found);
        return found;
      }
    }
  }
  return fail(Errc::not_found, "no markers");
}

bool TableSearch::fits(VirtAddr names, std::uint32_t count, std::span<const std::uint32_t> markers,
                       VirtAddr end) {
  ReadWindow window(*kernel_, names, end - names);
  std::uint64_t at = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (++steps_ > kMaxSteps || (i % kNamesPerMarker == 0 && markers[i / kNamesPerMarker] != at)) {
      return false;
    }
    const auto head = window.bytes(at, 2);
    if (!head) {
      return false;
    }
    const std::array<std::uint8_t, 2> bytes{static_cast<std::uint8_t>((*head)[0]),
                                            static_cast<std::uint8_t>((*head)[1])};
    const auto name = packed_name(bytes);
    if (!name || name->size == 0 || name->size > kMaxSymbolBytes) {
      return false;
    }
    at += name->header + name->size;
  }
  return aligned(names + at, 4) == end || aligned(names + at, 8) == end;
}

Result<> TableSearch::add_names(KallsymsTables& tables) {
  for (const std::uint64_t padding : {0U, 4U}) {
    const VirtAddr markers_end{tables.token_table.value - padding};
    const auto found = markers(markers_end);
    if (!found) {
      continue;
    }
    const VirtAddr end{markers_end.value - found->size() * 4};
    // The number of symbols lies right before the names.
    const std::uint64_t back = std::uint64_t{found->back()} + kMaxGroupBytes;
    if (end < begin_ || found->back() > kMaxSymbolNames) {
      continue;
    }
    const VirtAddr from{end - begin_ < back ? begin_.value : (end.value - back) & ~3ULL};
    std::vector<std::uint32_t> words(std::min<std::uint64_t>(kMaxGroupBytes, end - from) / 4);
    TRY(kernel_->read_exactly(from, std::as_writable_bytes(std::span(words))));
    for (std::size_t i = words.size(); i-- > 0;) {
      const std::uint32_t count = words[i];
      if (count == 0 || count > kMaxSymbols ||
          (count + kNamesPerMarker - 1) / kNamesPerMarker != found->size()) {
        continue;
      }
      const VirtAddr after = from + (i + 1) * 4;
      for (const VirtAddr names : {after, aligned(after, 8)}) {
        if (fits(names, count, *found, end)) {
          tables.names = names;
          tables.count = count;
          return {};
        }
      }
    }
  }
  return fail(Errc::not_found, "no names before the token table");
}

}  // namespace

std::optional<PackedName> packed_name(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) {
    return std::nullopt;
  }
  if ((bytes[0] & 0x80) == 0) {
    return PackedName{1, bytes[0]};
  }
  if (bytes.size() < 2) {
    return std::nullopt;
  }
  return PackedName{2, (bytes[0] & 0x7fU) | (std::size_t{bytes[1]} << 7)};
}

Result<KallsymsTables> exported_kallsyms(const GuestKernel& kernel) {
  const Vmcoreinfo& info = kernel.info();
  const auto count_at = info.symbol("kallsyms_num_syms");
  const auto names = info.symbol("kallsyms_names");
  const auto token_table = info.symbol("kallsyms_token_table");
  const auto token_index = info.symbol("kallsyms_token_index");
  const auto offsets = info.symbol("kallsyms_offsets");
  if (!count_at || !names || !token_table || !token_index || !offsets) {
    return fail(Errc::not_found, "kallsyms: not in VMCOREINFO");
  }
  KallsymsTables tables{
      0, *names, *token_table, *token_index, *offsets, info.symbol("kallsyms_relative_base")};
  TRY_ASSIGN(tables.count, kernel.read_value<std::uint32_t>(*count_at));
  if (tables.count == 0 || tables.count > kMaxSymbols) {
    return fail(Errc::limit, "kallsyms: {} symbols", tables.count);
  }
  return tables;
}

Result<std::vector<KallsymsTables>> search_kallsyms(const GuestKernel& kernel) {
  const auto stext = kernel.info().symbol("_stext");
  if (!stext || *stext < kernel.arch().kernel_map) {
    return fail(Errc::not_found, "kallsyms: VMCOREINFO has no plausible _stext");
  }
  const VirtAddr begin{stext->value & ~(kernel.arch().kernel_align - 1)};
  const std::uint64_t size = linear_size(kernel.page_tables(), kernel.phys_base(), begin);
  TableSearch search(kernel, begin, size);
  unsigned looked_at = 0;
  std::optional<KallsymsTables> found;
  search.for_each_digits([&](VirtAddr digits) {
    auto tables = search.token_table(digits);
    if (tables && search.add_names(*tables)) {
      found = *tables;
    }
    return found || ++looked_at == kMaxTables;
  });
  if (!found) {
    return fail(Errc::not_found, "kallsyms: not in VMCOREINFO, and not found in memory");
  }
  const std::uint64_t offsets_size = std::uint64_t{found->count} * 4;
  // Before the names, aligned to 8 bytes: offsets, relative_base, num_syms.
  KallsymsTables before = *found;
  before.relative_base = VirtAddr{found->names.value - 16};
  before.offsets = {found->names.value - 16 - ((offsets_size + 7) & ~7ULL)};
  KallsymsTables behind = *found;
  behind.offsets = aligned(found->token_index + kTokens * 2, 4);
  behind.relative_base = aligned(behind.offsets + offsets_size, 8);
  return std::vector{before, behind};
}

}  // namespace vmcore::kernel
