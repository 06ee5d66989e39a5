// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/cpio.h"

#include <array>
#include <limits>

#include "src/base/number.h"

namespace vmcore::guest::image {
namespace {

constexpr std::string_view kMagic = "070701";
constexpr std::string_view kTrailer = "TRAILER!!!";
constexpr std::size_t kFields = 13;
constexpr std::size_t kHeader = kMagic.size() + kFields * 8;
// The indexes of the fields that are used.
enum : std::size_t { kInode = 0, kMode = 1, kLinks = 4, kFileSize = 6, kNameSize = 11 };

constexpr std::size_t aligned(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

std::optional<std::size_t> field(std::string_view header, std::size_t number) {
  return parse_number<std::uint32_t>(header.substr(kMagic.size() + number * 8, 8), 16);
}

}  // namespace

void Cpio::add(std::string_view name, unsigned mode, std::string_view content) {
  std::array<std::size_t, kFields> fields{};
  fields[kInode] = ++inode_;
  fields[kMode] = mode;
  fields[kLinks] = 1;
  fields[kFileSize] = content.size();
  fields[kNameSize] = name.size() + 1;
  bytes_ += kMagic;
  for (const std::size_t value : fields) {
    bytes_ += fmt::format("{:08x}", value);
  }
  bytes_ += name;
  bytes_ += '\0';
  bytes_.resize(aligned(bytes_.size()));
  bytes_ += content;
  bytes_.resize(aligned(bytes_.size()));
}

Result<> Cpio::add_file(std::string_view name, unsigned permissions, std::string_view content) {
  if (content.size() > std::numeric_limits<std::uint32_t>::max()) {
    return fail(Errc::limit, "{}: {} bytes do not fit into a cpio archive", name, content.size());
  }
  add(name, 0100000 | permissions, content);
  return {};
}

std::string Cpio::finish() {
  add(kTrailer, 0, "");
  return std::move(bytes_);
}

std::optional<std::string_view> find_in_cpio(std::string_view archive, std::string_view name) {
  while (archive.size() >= kHeader && archive.starts_with(kMagic)) {
    const auto name_size = field(archive, kNameSize);
    const auto size = field(archive, kFileSize);
    if (!name_size || !size || *name_size == 0) {
      return std::nullopt;
    }
    const std::size_t content = aligned(kHeader + *name_size);
    if (content > archive.size() || archive.size() - content < *size) {
      return std::nullopt;
    }
    if (archive.substr(kHeader, *name_size - 1) == name) {
      return archive.substr(content, *size);
    }
    archive.remove_prefix(std::min(aligned(content + *size), archive.size()));
  }
  return std::nullopt;
}

std::optional<std::string_view> first_cpio(std::string_view archives) {
  const auto trailer = find_in_cpio(archives, kTrailer);
  return trailer ? std::optional(std::string_view(archives.data(), trailer->data())) : std::nullopt;
}

}  // namespace vmcore::guest::image
