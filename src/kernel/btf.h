// SPDX-License-Identifier: GPL-2.0-or-later
// Btf: the types of a kernel or of one of its modules, from the BTF that the kernel keeps in
// memory: sizes, offsets of members, values of enumerators, prototypes of functions. The format is
// that of include/uapi/linux/btf.h up to v7.2: headers may be longer than known, kinds may be
// unknown if the layout section of the header tells their size, and the BTF of a module continues
// the kernel's.
//
// This is not libbpf's parser, for two reasons. libbpf trusts its input: version 1.1 of Debian 12
// reads a type that runs past the end of its section. And libbpf wants the whole BTF (4 to 7 MiB)
// in one buffer, for which the capture image has no memory. A guest writes the BTF that this class
// reads, so every access is bounded, and the sections are read in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"
#include "src/kernel/memory_pieces.h"

namespace vmcore::kernel {

// The number of a type. 0 is void.
using BtfId = std::uint32_t;

enum class BtfKind : std::uint8_t {
  void_ = 0,
  integer = 1,
  pointer = 2,
  array = 3,
  structure = 4,
  union_ = 5,
  enumeration = 6,
  forward = 7,
  typedef_ = 8,
  volatile_ = 9,
  const_ = 10,
  restrict_ = 11,
  function = 12,
  prototype = 13,
  variable = 14,
  section = 15,
  floating = 16,
  decl_tag = 17,
  type_tag = 18,       // v5.17
  enumeration64 = 19,  // v6.0
  // Types of other kinds are skipped.
};

struct BtfType {
  BtfId id = 0;
  BtfKind kind = BtfKind::void_;
  bool flag = false;               // kind_flag
  std::uint32_t name = 0;          // its place among the strings; 0 if it has none
  std::uint32_t count = 0;         // of members, enumerators or parameters
  std::uint32_t size_or_type = 0;  // bytes, or the BtfId of another type
  std::uint64_t place = 0;         // in the type section, of what follows it
};

// A member of a struct, or of a struct within it.
struct BtfField {
  std::uint64_t bit_offset = 0;  // from the beginning of the outermost struct
  unsigned bits = 0;             // of a bit field, else 0
  BtfId type = 0;
  std::uint64_t size = 0;  // bytes of its type; 0 if the type has no size (a flexible array)
  std::uint64_t offset() const { return bit_offset / 8; }
};

struct BtfArray {
  BtfId element = 0;
  std::uint32_t count = 0;
};

struct BtfParameter {
  std::string name;
  BtfId type = 0;
};

struct BtfPrototype {
  BtfId returns = 0;
  std::vector<BtfParameter> parameters;
  bool variadic = false;
};

// Not thread-safe, because it caches memory and names. All names come from the guest. Functions
// fail with Errc::not_found if the BTF does not have the type or member, Errc::malformed if the BTF
// contradicts itself, Errc::limit if it nests deeper than any kernel's, Errc::unreadable if memory
// is missing.
class Btf {
 public:
  // Reads the BTF of `size` bytes at `begin`. A module's BTF needs the kernel's as `base`, which
  // must outlive it. `kernel` is borrowed. Goes through the type section once. If a kind is unknown
  // and no layout tells its size, the types that follow are left out, and complete() is false.
  static Result<Btf> read(const GuestKernel& kernel, VirtAddr begin, std::uint64_t size,
                          const Btf* base = nullptr);
  // Reads the BTF of the kernel, at __start_BTF. Errc::not_found if the kernel was built without it
  // (CONFIG_DEBUG_INFO_BTF, v5.2).
  static Result<Btf> of_kernel(const GuestKernel& kernel, const Kallsyms& kallsyms);

  // All types have lower numbers. The numbers of a module's types begin at end() of its base.
  BtfId end() const { return first_ + count_; }
  bool complete() const { return complete_; }

  Result<BtfType> type(BtfId id) const;
  Result<std::string> name(const BtfType& type) const { return text(type.name); }

  // The first type of that name and kind; a module's own types come before those of its base. The
  // first search for a name goes through all strings and types; know() does this once for many
  // names, and finds the strings of those of enumerators.
  Result<BtfType> find(BtfKind kind, std::string_view name) const;
  Result<> know(std::span<const std::string_view> names) const;
  Result<> know(std::initializer_list<std::string_view> names) const {
    return know(std::span(names.begin(), names.size()));
  }

  // A member by its path: "task_struct.thread.sp". The path begins with a struct, a union or a
  // typedef of one. Members of anonymous structs and unions belong to the outer struct. The path
  // cannot go through a pointer.
  Result<BtfField> field(std::string_view path) const;
  // The member of a type, by a path as above without the struct.
  Result<BtfField> field_of(BtfId type, std::string_view path) const;

  // The size of an object of the type, in bytes; a struct or union may be given by its name.
  Result<std::uint64_t> size_of(BtfId type) const;
  Result<std::uint64_t> size_of(std::string_view name) const;
  // The type without typedefs, qualifiers and type tags.
  Result<BtfType> resolve(BtfId id) const;
  Result<BtfArray> array(const BtfType& type) const;

  // The value of an enumerator of that enum; of the first enumerator of that name if `enumeration`
  // is empty.
  Result<std::int64_t> enumerator(std::string_view name, std::string_view enumeration = {}) const;

  // The enumerators of an enum, at most 4096, by name.
  Result<std::map<std::string, std::int64_t>> enumerators(const BtfType& type) const;

  // The prototype of a function. pahole leaves functions out of the BTF that share a name and have
  // different prototypes: Errc::not_found.
  Result<BtfPrototype> prototype(std::string_view function) const;

  // The type as C writes it: "struct task_struct *", "const char *", "unsigned int".
  Result<std::string> type_text(BtfId id) const;

 private:
  struct Found {
    BtfKind kind;
    BtfId id;
  };

  struct KindLayout {
    std::uint8_t fixed = 0;    // bytes that follow the type
    std::uint8_t element = 0;  // bytes for each of its count
  };

  Btf() = default;
  Result<> read_layouts(const GuestKernel& kernel, VirtAddr begin, std::uint64_t size);
  Result<> index();
  // The type that begins at that place, without its number.
  Result<BtfType> type_at(std::uint64_t place) const;
  // The size of what follows the type, in bytes. Errc::unsupported if it is not known.
  Result<std::uint64_t> size_behind(const BtfType& type) const;
  Result<std::string> text(std::uint32_t place) const;
  // Adds to places_ where each of the names is, in one pass through its own strings.
  Result<> find_places(std::span<const std::string_view> names) const;
  // The places of a whole string among this one's and its base's strings.
  Result<std::vector<std::uint32_t>> places_of(std::string_view name) const;
  template <class Each>
  Result<> for_each_type(Each each) const;
  // Whether the string at that place is `name`.
  Result<bool> is(std::uint32_t place, std::string_view name) const;
  // The section that the type lies in: its own, or its base's.
  const MemoryPieces& section_of(BtfId id) const {
    return id < first_ && base_ != nullptr ? base_->section_of(id) : types_;
  }
  struct Search {
    std::string_view name;
    std::uint64_t steps = 0;
  };
  Result<std::pair<std::uint64_t, std::uint64_t>> bits_of(const BtfType& type,
                                                          std::uint32_t index) const;
  Result<> check_place(const BtfType& type, std::uint32_t index) const;
  Result<BtfField> member(const BtfType& type, Search& search, unsigned depth) const;
  Result<std::int64_t> enumerator_of(const BtfType& type,
                                     std::span<const std::uint32_t> names) const;
  Result<std::uint64_t> size_of(BtfId type, unsigned depth) const;
  Result<std::string> type_text(BtfId id, unsigned depth) const;

  const Btf* base_ = nullptr;
  MemoryPieces types_;
  MemoryPieces strings_;
  std::uint32_t first_string_ = 0;  // the place of its first string
  BtfId first_ = 1;
  std::uint32_t count_ = 0;
  bool complete_ = true;
  std::vector<KindLayout> layouts_;   // by kind
  std::vector<std::uint32_t> index_;  // where each 8th type begins
  mutable std::map<std::string, std::vector<Found>, std::less<>> known_;
  mutable std::map<std::string, std::vector<std::uint32_t>, std::less<>> places_;  // of strings
};

}  // namespace vmcore::kernel
