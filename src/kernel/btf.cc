// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/btf.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "src/base/little_endian.h"

namespace vmcore::kernel {
namespace {

constexpr std::uint64_t kMaxBtfBytes = 64 << 20;  // an allyesconfig kernel has 20 MiB
constexpr std::size_t kMaxNameBytes = 512;        // KSYM_NAME_LEN
constexpr unsigned kMaxDepth = 32;            // of typedefs, arrays, pointers, anonymous members
constexpr std::uint64_t kMaxSteps = 1 << 16;  // members that one search may look at
constexpr std::uint32_t kMaxParameters = 256;
constexpr std::uint32_t kMaxEnumerators = 4096;
constexpr std::size_t kMaxAlike =
    64;  // of equal strings, and of types that share a name; others are ignored
constexpr std::uint32_t kTypesPerIndex = 8;
constexpr std::uint64_t kPointerBytes = 8;

// struct btf_header, up to v7.0. All offsets are from its end.
struct Header {
  ul16 magic;
  std::uint8_t version;
  std::uint8_t flags;
  ul32 header_size;
  ul32 types_offset;
  ul32 types_size;
  ul32 strings_offset;
  ul32 strings_size;
};
static_assert(sizeof(Header) == 24);
constexpr std::uint16_t kMagic = 0xeb9f;

// What follows in the header since v7.1 (222edc843c15).
struct LayoutHeader {
  ul32 offset;
  ul32 size;
};

// struct btf_layout: how many bytes follow a type of a kind.
struct Layout {
  std::uint8_t fixed;
  std::uint8_t element;
  ul16 flags;
};

// struct btf_type. info: 16 bits of count (24 since v7.1; the others were 0), 5 bits of kind (7),
// the flag.
struct TypeHeader {
  ul32 name;
  ul32 info;
  ul32 size_or_type;
};

struct Member {
  ul32 name;
  ul32 type;
  ul32 offset;
};

struct Array {
  ul32 element;
  ul32 index;
  ul32 count;
};

struct Parameter {
  ul32 name;
  ul32 type;
};

struct Enumerator {
  ul32 name;
  il32 value;
};

struct Enumerator64 {
  ul32 name;
  ul32 low;
  ul32 high;
};

struct KindSize {
  BtfKind kind;
  std::uint8_t fixed;
  std::uint8_t element;
};

constexpr std::array kKindSizes{
    KindSize{BtfKind::integer, 4, 0},
    KindSize{BtfKind::pointer, 0, 0},
    KindSize{BtfKind::array, sizeof(Array), 0},
    KindSize{BtfKind::structure, 0, sizeof(Member)},
    KindSize{BtfKind::union_, 0, sizeof(Member)},
    KindSize{BtfKind::enumeration, 0, sizeof(Enumerator)},
    KindSize{BtfKind::forward, 0, 0},
    KindSize{BtfKind::typedef_, 0, 0},
    KindSize{BtfKind::volatile_, 0, 0},
    KindSize{BtfKind::const_, 0, 0},
    KindSize{BtfKind::restrict_, 0, 0},
    KindSize{BtfKind::function, 0, 0},
    KindSize{BtfKind::prototype, 0, sizeof(Parameter)},
    KindSize{BtfKind::variable, 4, 0},
    KindSize{BtfKind::section, 0, 12},
    KindSize{BtfKind::floating, 0, 0},
    KindSize{BtfKind::decl_tag, 4, 0},
    KindSize{BtfKind::type_tag, 0, 0},
    KindSize{BtfKind::enumeration64, 0, sizeof(Enumerator64)},
};

// The bits of an INT's own word.
unsigned int_bits(std::uint32_t word) { return word & 0xff; }
unsigned int_offset(std::uint32_t word) { return word >> 16 & 0xff; }

bool is_composite(BtfKind kind) { return kind == BtfKind::structure || kind == BtfKind::union_; }

// Kinds that resolve() removes.
bool is_modifier(BtfKind kind) {
  return kind == BtfKind::typedef_ || kind == BtfKind::volatile_ || kind == BtfKind::const_ ||
         kind == BtfKind::restrict_ || kind == BtfKind::type_tag;
}

bool contains(std::span<const std::uint32_t> places, std::uint32_t place) {
  return std::ranges::find(places, place) != places.end();
}

}  // namespace

Result<Btf> Btf::read(const GuestKernel& kernel, VirtAddr begin, std::uint64_t size,
                      const Btf* base) {
  if (size > kMaxBtfBytes) {
    return fail(Errc::limit, "BTF: {} bytes", size);
  }
  const MemoryPieces all(kernel, begin, size);
  TRY_ASSIGN(const auto header, all.at<Header>(0));
  if (header.magic != kMagic || header.version != 1) {
    return fail(Errc::not_recognised, "BTF: magic {:#x}, version {}",
                static_cast<unsigned>(header.magic), header.version);
  }
  // Whether they lie behind the header, and end before `size`.
  const auto fits = [&](std::uint64_t offset, std::uint64_t bytes) {
    return header.header_size + offset + bytes <= size;
  };
  if (header.header_size < sizeof(Header) || !fits(header.types_offset, header.types_size) ||
      !fits(header.strings_offset, header.strings_size)) {
    return fail(Errc::malformed, "BTF: its sections run past its {} bytes", size);
  }
  Btf btf;
  btf.base_ = base;
  btf.first_ = base == nullptr ? 1 : base->end();
  btf.first_string_ =
      base == nullptr ? 0 : static_cast<std::uint32_t>(base->first_string_ + base->strings_.size());
  const VirtAddr sections = begin + header.header_size;
  btf.types_ = MemoryPieces(kernel, sections + header.types_offset, header.types_size);
  btf.strings_ = MemoryPieces(kernel, sections + header.strings_offset, header.strings_size);
  TRY(btf.read_layouts(kernel, begin, size));
  TRY(btf.index());
  return btf;
}

Result<Btf> Btf::of_kernel(const GuestKernel& kernel, const Kallsyms& kallsyms) {
  const auto symbols = kallsyms.find({"__start_BTF", "__stop_BTF"});
  if (!symbols[0] || !symbols[1] || *symbols[1] <= *symbols[0]) {
    return fail(Errc::not_found, "no BTF among the kernel's symbols");
  }
  return read(kernel, *symbols[0], *symbols[1] - *symbols[0]);
}

// They matter only for kinds that are not in kKindSizes.
Result<> Btf::read_layouts(const GuestKernel& kernel, VirtAddr begin, std::uint64_t size) {
  const MemoryPieces all(kernel, begin, size);
  TRY_ASSIGN(const auto header, all.at<Header>(0));
  if (header.header_size < sizeof(Header) + sizeof(LayoutHeader)) {
    return {};
  }
  TRY_ASSIGN(const auto layout, all.at<LayoutHeader>(sizeof(Header)));
  const std::uint64_t kinds = std::min<std::uint64_t>(layout.size / sizeof(Layout), 128);
  for (std::uint64_t kind = 0; kind < kinds; ++kind) {
    TRY_ASSIGN(const auto entry, all.at<Layout>(std::uint64_t{header.header_size} + layout.offset +
                                                kind * sizeof(Layout)));
    layouts_.push_back({entry.fixed, entry.element});
  }
  return {};
}

Result<> Btf::index() {
  for (std::uint64_t place = 0; place < types_.size();) {
    TRY_ASSIGN(const BtfType type, type_at(place));
    const auto behind = size_behind(type);
    if (!behind && behind.error().code == Errc::unsupported) {
      complete_ = false;
      return {};
    }
    TRY_ASSIGN(const std::uint64_t size, behind);
    if (size > types_.size() - type.place) {
      return fail(Errc::malformed, "BTF: type {} runs past the end of its section", end());
    }
    if (count_ % kTypesPerIndex == 0) {
      index_.push_back(static_cast<std::uint32_t>(place));
    }
    ++count_;
    place = type.place + size;
  }
  return {};
}

Result<BtfType> Btf::type_at(std::uint64_t place) const {
  TRY_ASSIGN(const auto header, types_.at<TypeHeader>(place));
  BtfType type;
  type.kind = static_cast<BtfKind>(header.info >> 24 & 0x7f);
  type.flag = header.info >> 31 != 0;
  type.name = header.name;
  type.count = header.info & 0xff'ffff;
  type.size_or_type = header.size_or_type;
  type.place = place + sizeof(TypeHeader);
  return type;
}

Result<std::uint64_t> Btf::size_behind(const BtfType& type) const {
  const auto known = std::ranges::find(kKindSizes, type.kind, &KindSize::kind);
  if (known != kKindSizes.end()) {
    return known->fixed + std::uint64_t{known->element} * type.count;
  }
  const auto kind = static_cast<std::size_t>(type.kind);
  if (kind == 0 || kind >= layouts_.size()) {
    return fail(Errc::unsupported, "BTF: kind {}", kind);
  }
  return layouts_[kind].fixed + std::uint64_t{layouts_[kind].element} * type.count;
}

Result<BtfType> Btf::type(BtfId id) const {
  if (id == 0) {
    return BtfType{};
  }
  if (id < first_ && base_ != nullptr) {
    return base_->type(id);
  }
  if (id < first_ || id >= end()) {
    return fail(Errc::not_found, "BTF: no type {}", id);
  }
  const std::uint32_t number = id - first_;
  std::uint64_t place = index_[number / kTypesPerIndex];
  for (std::uint32_t i = 0; i < number % kTypesPerIndex; ++i) {
    TRY_ASSIGN(const BtfType type, type_at(place));
    TRY_ASSIGN(const std::uint64_t size, size_behind(type));
    place = type.place + size;
  }
  TRY_ASSIGN(BtfType type, type_at(place));
  type.id = id;
  return type;
}

Result<std::string> Btf::text(std::uint32_t place) const {
  if (place < first_string_) {
    return base_->text(place);
  }
  std::string text;
  for (std::uint64_t at = place - first_string_;; ++at) {
    TRY_ASSIGN(const char character, strings_.at<char>(at));
    if (character == '\0') {
      return text;
    }
    if (text.size() == kMaxNameBytes) {
      return fail(Errc::limit, "BTF: a name of more than {} bytes", kMaxNameBytes);
    }
    text += character;
  }
}

Result<bool> Btf::is(std::uint32_t place, std::string_view name) const {
  if (place < first_string_) {
    return base_->is(place, name);
  }
  const std::uint64_t at = place - first_string_;
  std::array<char, kMaxNameBytes + 1> text{};
  if (name.size() > kMaxNameBytes || at > strings_.size() ||
      strings_.size() - at < name.size() + 1) {
    return false;
  }
  TRY(strings_.read(at, std::as_writable_bytes(std::span(text).first(name.size() + 1))));
  return std::string_view(text.data(), name.size() + 1) == std::string(name) + '\0';
}

// pahole writes each string once. Other BTF may repeat a string.
Result<> Btf::find_places(std::span<const std::string_view> names) const {
  std::map<std::string_view, std::vector<std::uint32_t>> places;
  for (const std::string_view name : names) {
    places[name];
  }
  constexpr std::size_t kPiece = 16 << 10;
  std::vector<char> piece(kPiece);
  std::string begun;  // a string that continues in the next piece; cut off where it is too long
  std::uint64_t begin = 0;
  for (std::uint64_t done = 0; done < strings_.size(); done += kPiece) {
    const auto part =
        std::span(piece).first(std::min<std::uint64_t>(kPiece, strings_.size() - done));
    TRY(strings_.read(done, std::as_writable_bytes(part)));
    const std::string_view text(part.data(), part.size());
    std::size_t at = 0;
    for (std::size_t end = text.find('\0'); end != std::string_view::npos;
         at = end + 1, end = text.find('\0', at), begin = done + at, begun.clear()) {
      const std::string_view here = text.substr(at, end - at);
      begun.append(here.substr(0, begun.empty() ? 0 : kMaxNameBytes));
      const auto found = places.find(begun.empty() ? here : std::string_view(begun));
      if (found != places.end() && found->second.size() < kMaxAlike) {
        found->second.push_back(static_cast<std::uint32_t>(first_string_ + begin));
      }
    }
    if (begun.size() <= kMaxNameBytes) {
      begun.append(text.substr(at, kMaxNameBytes + 1));
    }
  }
  for (auto& [name, found] : places) {
    places_[std::string(name)] = std::move(found);
  }
  return {};
}

Result<std::vector<std::uint32_t>> Btf::places_of(std::string_view name) const {
  std::vector<std::uint32_t> places;
  if (base_ != nullptr) {
    TRY_ASSIGN(places, base_->places_of(name));
  }
  if (name.empty() || name.size() > kMaxNameBytes) {
    return places;
  }
  if (!places_.contains(name)) {
    TRY(find_places({{name}}));
  }
  const auto& own = places_.find(name)->second;
  places.insert(places.end(), own.begin(), own.end());
  return places;
}

// Calls each(type) for its own types until it returns false or an error.
template <class Each>
Result<> Btf::for_each_type(Each each) const {
  std::uint64_t place = 0;
  for (std::uint32_t i = 0; i < count_; ++i) {
    TRY_ASSIGN(BtfType type, type_at(place));
    TRY_ASSIGN(const std::uint64_t size, size_behind(type));
    type.id = first_ + i;
    TRY_ASSIGN(const bool more, each(type));
    if (!more) {
      break;
    }
    place = type.place + size;
  }
  return {};
}

Result<> Btf::know(std::span<const std::string_view> names) const {
  if (base_ != nullptr) {
    TRY(base_->know(names));
  }
  std::vector<std::string_view> strange;
  std::ranges::copy_if(names, std::back_inserter(strange), [&](std::string_view name) {
    return !places_.contains(name) && name.size() <= kMaxNameBytes;
  });
  TRY(find_places(strange));
  std::map<std::uint32_t, std::string_view> places;
  for (const std::string_view name : names) {
    if (known_.contains(name)) {
      continue;
    }
    TRY_ASSIGN(const auto found, places_of(name));
    for (const std::uint32_t place : found) {
      places.emplace(place, name);
    }
  }
  std::map<std::string_view, std::vector<Found>> found;
  TRY(for_each_type([&](const BtfType& type) -> Result<bool> {
    const auto place = places.find(type.name);
    if (place != places.end() && found[place->second].size() < kMaxAlike) {
      found[place->second].push_back({type.kind, type.id});
    }
    return true;
  }));
  for (const std::string_view name : names) {
    known_.try_emplace(std::string(name), found[name]);
  }
  return {};
}

Result<BtfType> Btf::find(BtfKind kind, std::string_view name) const {
  if (!known_.contains(name)) {
    TRY(know({name}));
  }
  for (const Found& found : known_.find(name)->second) {
    if (found.kind == kind) {
      return type(found.id);
    }
  }
  if (base_ != nullptr) {
    return base_->find(kind, name);
  }
  return fail(Errc::not_found, "BTF: no type {}", name);
}

Result<BtfType> Btf::resolve(BtfId id) const {
  for (unsigned depth = 0; depth < kMaxDepth; ++depth) {
    TRY_ASSIGN(const BtfType type, this->type(id));
    if (!is_modifier(type.kind)) {
      return type;
    }
    id = type.size_or_type;
  }
  return fail(Errc::limit, "BTF: type {} is behind more than {} others", id, kMaxDepth);
}

// The first bit of a member and the one behind its last.
Result<std::pair<std::uint64_t, std::uint64_t>> Btf::bits_of(const BtfType& type,
                                                             std::uint32_t index) const {
  TRY_ASSIGN(const auto each,
             section_of(type.id).at<Member>(type.place + std::uint64_t{index} * sizeof(Member)));
  std::uint64_t begin = type.flag ? each.offset & 0xff'ffff : std::uint32_t{each.offset};
  std::uint64_t bits = type.flag ? each.offset >> 24 : 0;
  TRY_ASSIGN(const BtfType of, resolve(each.type));
  if (bits == 0 && of.kind == BtfKind::integer) {
    TRY_ASSIGN(const auto word, section_of(of.id).at<ul32>(of.place));
    begin += int_offset(word);
    bits = int_bits(word);
  } else if (bits == 0) {
    bits = size_of(each.type).value_or(0) * 8;
  }
  return std::pair{begin, begin + bits};
}

// The members of a struct lie one behind the other. Where a damaged number says else, the member is
// not known.
Result<> Btf::check_place(const BtfType& type, std::uint32_t index) const {
  std::uint64_t end = 0;
  for (std::uint32_t i = index == 0 ? 0 : index - 1; i < std::min(index + 2, type.count); ++i) {
    TRY_ASSIGN(const auto bits, bits_of(type, i));
    if (bits.first < end || bits.second > type.size_or_type * std::uint64_t{8}) {
      return fail(Errc::malformed, "BTF: member {} of type {} has no room there", i, type.id);
    }
    end = type.kind == BtfKind::structure ? bits.second : 0;
  }
  return {};
}

Result<BtfField> Btf::member(const BtfType& type, Search& search, unsigned depth) const {
  if (depth == kMaxDepth) {
    return fail(Errc::limit, "BTF: anonymous members nest deeper than {}", kMaxDepth);
  }
  if (!is_composite(type.kind)) {
    return fail(Errc::not_found, "BTF: type {} has no members", type.id);
  }
  const MemoryPieces& types = section_of(type.id);
  for (std::uint32_t i = 0; i < type.count; ++i) {
    if (++search.steps > kMaxSteps) {
      return fail(Errc::limit, "BTF: more than {} members", kMaxSteps);
    }
    TRY_ASSIGN(const auto each, types.at<Member>(type.place + std::uint64_t{i} * sizeof(Member)));
    BtfField field;
    field.type = each.type;
    // With the flag (v4.20, 9d5f9f701b18) the offset holds the size of a bit field too, else an
    // integer type of its own does.
    field.bit_offset = type.flag ? each.offset & 0xff'ffff : std::uint32_t{each.offset};
    field.bits = type.flag ? each.offset >> 24 : 0;
    if (each.name != 0) {
      TRY_ASSIGN(const bool wanted, is(each.name, search.name));
      if (wanted) {
        TRY(check_place(type, i));
        return field;
      }
      continue;
    }
    TRY_ASSIGN(const BtfType inner, resolve(field.type));
    if (!is_composite(inner.kind)) {
      continue;  // an unnamed bit field
    }
    auto found = member(inner, search, depth + 1);
    if (found) {
      TRY(check_place(type, i));
      found->bit_offset += field.bit_offset;
    }
    if (found || found.error().code != Errc::not_found) {
      return found;
    }
  }
  return fail(Errc::not_found, "BTF: type {} has no such member", type.id);
}

Result<BtfField> Btf::field_of(BtfId type, std::string_view path) const {
  BtfField whole;
  whole.type = type;
  std::uint64_t bit_offset = 0;
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(name.size() + 1, path.size()));
    TRY_ASSIGN(const BtfType outer, resolve(whole.type));
    Search search{name};
    const auto found = member(outer, search, 0);
    if (!found) {
      return in_context(found.error(), fmt::format("member {}", name));
    }
    whole = *found;
    bit_offset += found->bit_offset;
  }
  whole.bit_offset = bit_offset;
  TRY_ASSIGN(const BtfType type_of_field, resolve(whole.type));
  if (type_of_field.kind == BtfKind::integer) {
    const MemoryPieces& types = section_of(type_of_field.id);
    TRY_ASSIGN(const auto word, types.at<ul32>(type_of_field.place));
    if (whole.bits == 0 && int_bits(word) != type_of_field.size_or_type * std::uint64_t{8}) {
      whole.bits = int_bits(word);
      whole.bit_offset += int_offset(word);
    }
  }
  whole.size = size_of(whole.type).value_or(0);
  return whole;
}

Result<BtfField> Btf::field(std::string_view path) const {
  if (path.ends_with('.')) {
    return fail(Errc::not_found, "BTF: {} names no member", path);
  }
  const std::string_view root = path.substr(0, path.find('.'));
  for (const BtfKind kind : {BtfKind::structure, BtfKind::union_, BtfKind::typedef_}) {
    const auto type = find(kind, root);
    if (type) {
      const auto field = field_of(type->id, path.substr(std::min(root.size() + 1, path.size())));
      return field ? field : in_context(field.error(), path);
    }
    if (type.error().code != Errc::not_found) {
      return tl::unexpected(type.error());
    }
  }
  return fail(Errc::not_found, "BTF: no struct {}", root);
}

Result<std::uint64_t> Btf::size_of(BtfId id) const { return size_of(id, 0); }

Result<std::uint64_t> Btf::size_of(std::string_view name) const {
  auto type = find(BtfKind::structure, name);
  if (!type && type.error().code == Errc::not_found) {
    type = find(BtfKind::union_, name);
  }
  if (!type) {
    return tl::unexpected(type.error());
  }
  return type->size_or_type;
}

Result<std::uint64_t> Btf::size_of(BtfId id, unsigned depth) const {
  if (depth == kMaxDepth) {
    return fail(Errc::limit, "BTF: arrays nest deeper than {}", kMaxDepth);
  }
  TRY_ASSIGN(const BtfType type, resolve(id));
  switch (type.kind) {
    case BtfKind::integer:
    case BtfKind::structure:
    case BtfKind::union_:
    case BtfKind::enumeration:
    case BtfKind::enumeration64:
    case BtfKind::floating:
    case BtfKind::section:
      return type.size_or_type;
    case BtfKind::pointer:
      return kPointerBytes;
    case BtfKind::array: {
      TRY_ASSIGN(const BtfArray array, this->array(type));
      TRY_ASSIGN(const std::uint64_t element, size_of(array.element, depth + 1));
      std::uint64_t size = 0;
      if (__builtin_mul_overflow(element, std::uint64_t{array.count}, &size)) {
        return fail(Errc::limit, "BTF: an array of {} times {} bytes", array.count, element);
      }
      return size;
    }
    default:
      return fail(Errc::not_found, "BTF: type {} has no size", id);
  }
}

Result<BtfArray> Btf::array(const BtfType& type) const {
  if (type.kind != BtfKind::array) {
    return fail(Errc::not_found, "BTF: type {} is no array", type.id);
  }
  const MemoryPieces& types = section_of(type.id);
  TRY_ASSIGN(const auto array, types.at<Array>(type.place));
  return BtfArray{array.element, array.count};
}

Result<std::int64_t> Btf::enumerator_of(const BtfType& type,
                                        std::span<const std::uint32_t> names) const {
  const MemoryPieces& types = section_of(type.id);
  for (std::uint32_t i = 0; i < type.count; ++i) {
    if (type.kind == BtfKind::enumeration) {
      TRY_ASSIGN(const auto each,
                 types.at<Enumerator>(type.place + std::uint64_t{i} * sizeof(Enumerator)));
      if (contains(names, each.name)) {
        // The flag (v6.0, 6089fb325cf7) tells signed ones; before it all were.
        return std::int64_t{each.value};
      }
    } else {
      TRY_ASSIGN(const auto each,
                 types.at<Enumerator64>(type.place + std::uint64_t{i} * sizeof(Enumerator64)));
      if (contains(names, each.name)) {
        return static_cast<std::int64_t>(std::uint64_t{each.high} << 32 | each.low);
      }
    }
  }
  return fail(Errc::not_found, "BTF: type {} has no such enumerator", type.id);
}

Result<std::int64_t> Btf::enumerator(std::string_view name, std::string_view enumeration) const {
  TRY_ASSIGN(const auto names, places_of(name));
  Result<std::int64_t> value = fail(Errc::not_found, "BTF: no enumerator {}", name);
  if (!enumeration.empty()) {
    auto type = find(BtfKind::enumeration, enumeration);
    if (!type && type.error().code == Errc::not_found) {
      type = find(BtfKind::enumeration64, enumeration);
    }
    TRY_ASSIGN(const BtfType found, type);
    return enumerator_of(found, names);
  }
  if (!names.empty()) {
    TRY(for_each_type([&](const BtfType& type) -> Result<bool> {
      if (type.kind == BtfKind::enumeration || type.kind == BtfKind::enumeration64) {
        value = enumerator_of(type, names);
        if (!value && value.error().code != Errc::not_found) {
          return tl::unexpected(value.error());
        }
      }
      return !value;
    }));
  }
  if (!value && base_ != nullptr) {
    return base_->enumerator(name);
  }
  return value;
}

Result<std::map<std::string, std::int64_t>> Btf::enumerators(const BtfType& type) const {
  if (type.kind != BtfKind::enumeration || type.count > kMaxEnumerators) {
    return fail(Errc::malformed, "BTF: type {} is no enum of at most {} values", type.id,
                kMaxEnumerators);
  }
  std::map<std::string, std::int64_t> values;
  const MemoryPieces& types = section_of(type.id);
  for (std::uint32_t i = 0; i < type.count; ++i) {
    TRY_ASSIGN(const auto each,
               types.at<Enumerator>(type.place + std::uint64_t{i} * sizeof(Enumerator)));
    TRY_ASSIGN(std::string name, text(each.name));
    values.emplace(std::move(name), std::int64_t{each.value});
  }
  return values;
}

Result<BtfPrototype> Btf::prototype(std::string_view function) const {
  TRY_ASSIGN(const BtfType found, find(BtfKind::function, function));
  TRY_ASSIGN(const BtfType type, resolve(found.size_or_type));
  if (type.kind != BtfKind::prototype) {
    return fail(Errc::malformed, "BTF: function {} has no prototype", function);
  }
  if (type.count > kMaxParameters) {
    return fail(Errc::limit, "BTF: function {} has {} parameters", function, type.count);
  }
  const MemoryPieces& types = section_of(type.id);
  BtfPrototype prototype;
  prototype.returns = type.size_or_type;
  for (std::uint32_t i = 0; i < type.count; ++i) {
    TRY_ASSIGN(const auto each,
               types.at<Parameter>(type.place + std::uint64_t{i} * sizeof(Parameter)));
    if (each.name == 0 && each.type == 0 && i + 1 == type.count) {
      prototype.variadic = true;
      break;
    }
    TRY_ASSIGN(std::string name, text(each.name));
    prototype.parameters.push_back({std::move(name), each.type});
  }
  return prototype;
}

Result<std::string> Btf::type_text(BtfId id) const { return type_text(id, 0); }

Result<std::string> Btf::type_text(BtfId id, unsigned depth) const {
  if (depth == kMaxDepth) {
    return fail(Errc::limit, "BTF: type {} nests deeper than {}", id, kMaxDepth);
  }
  TRY_ASSIGN(const BtfType type, this->type(id));
  const auto inner = [&] { return type_text(type.size_or_type, depth + 1); };
  TRY_ASSIGN(const std::string name, this->name(type));
  const std::string named = name.empty() ? "{...}" : name;
  switch (type.kind) {
    case BtfKind::void_:
      return "void";
    case BtfKind::structure:
      return "struct " + named;
    case BtfKind::union_:
      return "union " + named;
    case BtfKind::forward:
      return (type.flag ? "union " : "struct ") + named;
    case BtfKind::enumeration:
    case BtfKind::enumeration64:
      return "enum " + named;
    case BtfKind::pointer: {
      TRY_ASSIGN(const std::string target, inner());
      return target + (target.ends_with('*') ? "*" : " *");
    }
    case BtfKind::const_: {
      TRY_ASSIGN(const std::string target, inner());
      return target.ends_with('*') ? target + " const" : "const " + target;
    }
    case BtfKind::volatile_: {
      TRY_ASSIGN(const std::string target, inner());
      return target.ends_with('*') ? target + " volatile" : "volatile " + target;
    }
    case BtfKind::restrict_:
    case BtfKind::type_tag:
      return inner();
    case BtfKind::array: {
      TRY_ASSIGN(const BtfArray array, this->array(type));
      TRY_ASSIGN(const std::string element, type_text(array.element, depth + 1));
      return fmt::format("{}[{}]", element, array.count);
    }
    case BtfKind::prototype: {
      TRY_ASSIGN(const std::string returns, inner());
      return returns + " (...)";
    }
    default:
      return named;
  }
}

}  // namespace vmcore::kernel
