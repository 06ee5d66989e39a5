// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/build_id.h"

#include <cstring>
#include <span>
#include <vector>

#include "src/base/little_endian.h"

namespace vmcore::kernel {
namespace {

constexpr std::uint64_t kMaxNotesBytes = 64 << 10;  // some hundred bytes
constexpr std::uint32_t kNoteTypeBuildId = 3;
constexpr std::string_view kGnu{"GNU\0", 4};

struct NoteHeader {
  ul32 name_size;
  ul32 desc_size;
  ul32 type;
};
static_assert(sizeof(NoteHeader) == 12);

constexpr std::uint64_t padded(std::uint64_t size) { return (size + 3) & ~3ULL; }

std::string to_hex(std::span<const std::byte> bytes) {
  std::string hex;
  for (const std::byte byte : bytes) {
    hex += fmt::format("{:02x}", static_cast<unsigned>(byte));
  }
  return hex;
}

}  // namespace

Result<std::string> read_build_id(const GuestKernel& kernel, const Kallsyms& kallsyms) {
  const auto symbols = kallsyms.find({"__start_notes", "__stop_notes"});
  if (!symbols[0] || !symbols[1] || *symbols[1] <= *symbols[0] ||
      *symbols[1] - *symbols[0] > kMaxNotesBytes) {
    return fail(Errc::not_found, "the kernel has no symbols for its notes");
  }
  std::vector<std::byte> notes(*symbols[1] - *symbols[0]);
  TRY(kernel.read_exactly(*symbols[0], notes));
  return build_id_in(notes);
}

Result<std::string> build_id_in(std::span<const std::byte> notes) {
  std::span<const std::byte> rest = notes;
  while (const auto header = load<NoteHeader>(rest, 0)) {
    rest = rest.subspan(sizeof(NoteHeader));
    const std::uint64_t name_size = padded(header->name_size);
    const std::uint64_t desc_size = padded(header->desc_size);
    if (name_size > rest.size() || desc_size > rest.size() - name_size) {
      break;
    }
    if (header->type == kNoteTypeBuildId && header->name_size == kGnu.size() &&
        std::memcmp(rest.data(), kGnu.data(), kGnu.size()) == 0) {
      return to_hex(rest.subspan(name_size, header->desc_size));
    }
    rest = rest.subspan(name_size + desc_size);
  }
  return fail(Errc::not_found, "there is no build-id among the notes");
}

}  // namespace vmcore::kernel
