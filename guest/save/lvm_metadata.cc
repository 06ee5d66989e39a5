// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/lvm_metadata.h"

#include <algorithm>
#include <array>
#include <span>

#include "src/base/little_endian.h"
#include "src/base/number.h"
#include "src/base/sys.h"

namespace vmcore::guest::save {
namespace {

constexpr std::size_t kSector = 512;
constexpr std::size_t kLabelSectors = 4;
constexpr std::size_t kIdSize = 32;
constexpr std::size_t kMostMetadata = 16U << 20;
constexpr std::size_t kMostAreas = 16;
constexpr std::uint64_t kMostSectors = 1ULL << 54;  // 8 EiB, the longest block device
constexpr std::uint64_t kAreaHeader = 512;
constexpr std::string_view kAreaMagic = " LVM2 x[5A%r0N*>";

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// lib/misc/crc.c: CRC-32 with a first value of its own and without the final complement.
std::uint32_t checksum(std::string_view bytes) {
  std::uint32_t crc = 0xf597a6cf;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
    }
  }
  return crc;
}

// The current text in the area of metadata at `area`; empty if there is none. The area is a ring
// behind its header.
Result<std::string> read_area(int fd, std::uint64_t area) {
  std::vector<std::byte> header(kAreaHeader);
  TRY(sys::pread_full(fd, header, area));
  const auto field = [&](std::size_t at) { return std::uint64_t{*load<ul64>(header, at)}; };
  const std::uint64_t size = field(32);
  const std::uint64_t begin = field(40);
  const std::uint64_t length = field(48);
  constexpr std::uint32_t kIgnored = 1;
  if (begin == 0 || (*load<ul32>(header, 60) & kIgnored) != 0) {
    return std::string();
  }
  if (text_of(header).substr(4, kAreaMagic.size()) != kAreaMagic || size < kAreaHeader ||
      begin < kAreaHeader || begin >= size || length > size - kAreaHeader ||
      length > kMostMetadata) {
    return fail(Errc::malformed, "the header of its LVM metadata is damaged");
  }
  std::string text(length, '\0');
  const auto bytes = std::as_writable_bytes(std::span(text));
  const std::uint64_t first = std::min(length, size - begin);
  TRY(sys::pread_full(fd, bytes.first(first), area + begin));
  TRY(sys::pread_full(fd, bytes.subspan(first), area + kAreaHeader));
  return checksum(text) == *load<ul32>(header, 56)
             ? Result<std::string>(std::move(text))
             : fail(Errc::malformed, "its LVM metadata is damaged");
}

// The places of its areas of metadata: behind the list of areas of data, which a zero ends.
std::vector<std::uint64_t> areas_of(std::span<const std::byte> header) {
  std::vector<std::uint64_t> areas;
  unsigned lists = 0;
  for (std::size_t at = kIdSize + 8; lists < 2 && areas.size() < kMostAreas; at += 16) {
    const std::uint64_t area = load<ul64>(header, at).value_or(0U);
    lists += area == 0 ? 1U : 0U;
    if (area != 0 && lists == 1) {
      areas.push_back(area);
    }
  }
  return areas;
}

// NAME = VALUE, or NAME { ... }.
struct Node {
  std::string_view name;
  std::string_view value;  // as it is written; a list without its brackets
  std::vector<Node> nodes;

  const Node* find(std::string_view wanted) const {
    const auto found = std::ranges::find(nodes, wanted, &Node::name);
    return found == nodes.end() ? nullptr : &*found;
  }
  std::string_view text(std::string_view wanted) const {
    const Node* const node = find(wanted);
    const std::string_view raw = node == nullptr ? std::string_view() : node->value;
    return raw.size() >= 2 && raw.front() == '"' ? raw.substr(1, raw.size() - 2) : raw;
  }
  std::uint64_t number(std::string_view wanted) const {
    return parse_number<std::uint64_t>(text(wanted)).value_or(0);
  }
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  // Parses up to the end of the section. Returns whether it is well-formed.
  bool section(Node& into, unsigned depth = 0) {
    constexpr unsigned kMostDepth = 8;
    for (;;) {
      skip_blanks();
      if (depth != 0 && take('}')) {
        return true;
      }
      if (at_end()) {
        return depth == 0;
      }
      Node& node = into.nodes.emplace_back();
      node.name = take_while([](char c) { return !is_blank(c) && c != '=' && c != '{'; });
      skip_blanks();
      const bool good = take('{')   ? depth < kMostDepth && section(node, depth + 1)
                        : take('=') ? value(node)
                                    : false;
      if (node.name.empty() || !good) {
        return false;
      }
    }
  }

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  bool at_end() const { return at_ >= text_.size() || text_[at_] == '\0'; }

  bool take(char wanted) {
    const bool is_it = !at_end() && text_[at_] == wanted;
    at_ += is_it ? 1U : 0U;
    return is_it;
  }

  template <class Test>
  std::string_view take_while(const Test& test) {
    const std::size_t begin = at_;
    while (!at_end() && test(text_[at_])) {
      ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }

  void skip_blanks() {
    for (;;) {
      take_while(is_blank);
      if (at_end() || text_[at_] != '#') {
        return;
      }
      take_while([](char c) { return c != '\n'; });
    }
  }

  // The end of a text in quotes, in which a backslash hides a quote.
  bool quoted() {
    bool hidden = false;
    for (take('"'); !at_end(); ++at_) {
      if (text_[at_] == '"' && !hidden) {
        return take('"');
      }
      hidden = text_[at_] == '\\' && !hidden;
    }
    return false;
  }

  bool value(Node& node) {
    skip_blanks();
    const std::size_t begin = at_;
    if (take('[')) {
      while (!at_end() && text_[at_] != ']') {
        if (text_[at_] == '"' ? !quoted() : (++at_, false)) {
          return false;
        }
      }
      node.value = text_.substr(begin + 1, at_ - begin - 1);
      return take(']');
    }
    if (!at_end() && text_[at_] == '"') {
      const bool whole = quoted();
      node.value = text_.substr(begin, at_ - begin);
      return whole;
    }
    node.value = take_while([](char c) { return !is_blank(c) && c != '}'; });
    return !node.value.empty();
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// "abcdef-ghij-...": ids are written with dashes.
std::string without_dashes(std::string_view id) {
  std::string plain(id);
  std::erase(plain, '-');
  return plain;
}

std::vector<std::string> items_of(std::string_view list) {
  std::vector<std::string> items;
  while (!list.empty()) {
    std::string item(list.substr(0, list.find(',')));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    std::erase_if(item, [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '"'; });
    items.push_back(std::move(item));
  }
  return items;
}

// The group of the volume with that id.
Result<Node> read_group(std::string_view metadata, std::string_view id) {
  Node all;
  if (!Parser(metadata).section(all)) {
    return fail(Errc::malformed, "the text of the LVM metadata is not well-formed");
  }
  for (Node& node : all.nodes) {
    if (id.size() == 2 * kIdSize && without_dashes(node.text("id")) == id.substr(0, kIdSize) &&
        node.find("logical_volumes") != nullptr && node.number("extent_size") != 0) {
      return std::move(node);
    }
  }
  return fail(Errc::not_found, "another volume group");
}

// The volume `wanted` of a group.
class VolumeReader {
 public:
  VolumeReader(const Node& group, const Node& wanted)
      : group_(group), wanted_(wanted), extent_(group.number("extent_size")) {}

  Result<Volume> read() const {
    TRY(check_is_no_origin());
    Volume volume{.name = fmt::format("{}/{}", group_.name, wanted_.name), .segments = {}};
    for (const Node& node : wanted_.nodes) {
      if (!node.nodes.empty()) {
        TRY_ASSIGN(VolumeSegment segment, read_segment(node));
        volume.segments.push_back(std::move(segment));
      }
    }
    std::uint64_t end = 0;  // LVM2 writes the segments in their order
    for (const VolumeSegment& segment : volume.segments) {
      if (segment.begin != end || segment.length == 0) {
        return fail(Errc::malformed, "the volume has a hole at sector {}", end);
      }
      end += segment.length;
    }
    return end == 0 ? fail(Errc::malformed, "the volume has no segments") : Result<Volume>(volume);
  }

 private:
  // What is written to an origin must first be copied for its snapshots.
  Result<> check_is_no_origin() const {
    for (const Node& volume : group_.find("logical_volumes")->nodes) {
      for (const Node& segment : volume.nodes) {
        if (segment.text("type") == "snapshot" && segment.text("origin") == wanted_.name) {
          return fail(Errc::unsupported, "it has a snapshot");
        }
      }
    }
    return {};
  }

  Result<VolumeSegment> read_segment(const Node& node) const {
    const std::string_view type = node.text("type");
    if (type != "striped" && type != "linear") {
      return fail(Errc::unsupported, "it is of type {}", type);
    }
    TRY_ASSIGN(const std::uint64_t begin, sectors_of(node.number("start_extent")));
    TRY_ASSIGN(const std::uint64_t length, sectors_of(node.number("extent_count")));
    VolumeSegment segment{.begin = begin, .length = length, .chunk = 0, .stripes = {}};
    const Node* const list = node.find("stripes");
    const auto items = items_of(list == nullptr ? "" : list->value);
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      TRY_ASSIGN(VolumeStripe stripe, read_stripe(items[i], items[i + 1]));
      segment.stripes.push_back(std::move(stripe));
    }
    if (segment.stripes.size() > 1) {
      segment.chunk = node.number("stripe_size");
    }
    if (segment.stripes.empty() || segment.stripes.size() != node.number("stripe_count") ||
        (segment.stripes.size() > 1) != (segment.chunk != 0)) {
      return fail(Errc::malformed, "{} is not well-formed", node.name);
    }
    return segment;
  }

  Result<VolumeStripe> read_stripe(std::string_view disk, std::string_view extent) const {
    const Node* const disks = group_.find("physical_volumes");
    const Node* const found = disks == nullptr ? nullptr : disks->find(disk);
    const auto number = parse_number<std::uint64_t>(extent);
    if (found == nullptr || !number) {
      return fail(Errc::unsupported, "a part of it is on {}, which is not a disk: pvmove moves it",
                  disk);
    }
    TRY_ASSIGN(const std::uint64_t behind, sectors_of(*number));
    const std::uint64_t begin = found->number("pe_start");
    if (begin >= kMostSectors) {
      return fail(Errc::malformed, "{} begins behind the end of every disk", disk);
    }
    return VolumeStripe{without_dashes(found->text("id")), begin + behind};
  }

  // Wrong numbers must not become the place of another volume.
  Result<std::uint64_t> sectors_of(std::uint64_t extents) const {
    return extent_ != 0 && extents > kMostSectors / extent_
               ? fail(Errc::malformed, "extent {} is behind the end of every disk", extents)
               : Result<std::uint64_t>(extents * extent_);
  }

  const Node& group_;
  const Node& wanted_;
  std::uint64_t extent_;
};

}  // namespace

Result<LvmDisk> read_lvm_disk(int fd) {
  std::vector<std::byte> sectors(kLabelSectors * kSector);
  TRY(sys::pread_full(fd, sectors, 0));
  for (std::size_t at = 0; at < sectors.size(); at += kSector) {
    const auto sector = std::span<const std::byte>(sectors).subspan(at, kSector);
    if (!text_of(sector).starts_with("LABELONE") || text_of(sector).substr(24, 8) != "LVM2 001") {
      continue;
    }
    const std::size_t offset = *load<ul32>(sector, 20);
    if (offset > kSector - kIdSize) {
      return fail(Errc::malformed, "its LVM label is damaged");
    }
    const auto header = sector.subspan(offset);
    LvmDisk disk{.id = std::string(text_of(header).substr(0, kIdSize)), .metadata = {}};
    Result<> good;
    for (const std::uint64_t area : areas_of(header)) {
      auto text = read_area(fd, area);
      good = text ? Result<>() : tl::unexpected(text.error());
      disk.metadata = text ? *std::move(text) : "";
      if (!disk.metadata.empty()) {
        break;
      }
    }
    return good ? Result<LvmDisk>(std::move(disk)) : tl::unexpected(good.error());
  }
  return fail(Errc::not_recognised, "not a disk of LVM");
}

Result<std::uint64_t> number_of_change(std::string_view metadata, std::string_view id) {
  return read_group(metadata, id).map([](const Node& group) { return group.number("seqno"); });
}

Result<Volume> find_volume(std::string_view metadata, std::string_view id) {
  TRY_ASSIGN(const Node group, read_group(metadata, id));
  for (const Node& volume : group.find("logical_volumes")->nodes) {
    if (without_dashes(volume.text("id")) == id.substr(kIdSize)) {
      auto read = VolumeReader(group, volume).read();
      return read ? std::move(read)
                  : in_context(std::move(read).error(),
                               fmt::format("LVM volume {}/{}", group.name, volume.name));
    }
  }
  return fail(Errc::not_found, "volume group {} has no volume with the id {}", group.name,
              id.substr(kIdSize));
}

}  // namespace vmcore::guest::save
