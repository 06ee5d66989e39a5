// SPDX-License-Identifier: GPL-2.0-or-later
// BTF (include/uapi/linux/btf.h), written type by type.
//
//   BtfBuilder btf;
//   const auto u64 = btf.integer("unsigned long", 8);
//   btf.structure("pair", 16, {{"first", u64, 0}, {"second", u64, 64}});
//   btf.build();
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vmcore::testing {

struct BtfMember {
  std::string name;  // empty: anonymous
  std::uint32_t type = 0;
  std::uint32_t bit_offset = 0;
  std::uint32_t bits = 0;  // of a bit field
};

class BtfBuilder {
 public:
  BtfBuilder() : strings_(1, '\0') {}
  // For a module, which continues that kernel.
  static BtfBuilder of_module(const BtfBuilder& base);

  // Each returns the number of the type.
  std::uint32_t integer(std::string_view name, std::uint32_t bytes, unsigned bits = 0);
  std::uint32_t pointer(std::uint32_t to) { return add(2, "", 0, to); }
  std::uint32_t array(std::uint32_t of, std::uint32_t count);
  std::uint32_t structure(std::string_view name, std::uint32_t bytes,
                          const std::vector<BtfMember>& members);
  std::uint32_t union_of(std::string_view name, std::uint32_t bytes,
                         const std::vector<BtfMember>& members);
  std::uint32_t enumeration(std::string_view name,
                            const std::vector<std::pair<std::string, std::int32_t>>& values);
  std::uint32_t enumeration64(std::string_view name,
                              const std::vector<std::pair<std::string, std::int64_t>>& values);
  std::uint32_t forward(std::string_view name) { return add(7, name, 0, 0); }
  std::uint32_t typedef_of(std::string_view name, std::uint32_t of) { return add(8, name, 0, of); }
  std::uint32_t volatile_of(std::uint32_t of) { return add(9, "", 0, of); }
  std::uint32_t const_of(std::uint32_t of) { return add(10, "", 0, of); }
  std::uint32_t function(std::string_view name, std::uint32_t prototype) {
    return add(12, name, 0, prototype);
  }
  // A parameter without name and type stands for "...".
  std::uint32_t prototype(std::uint32_t returns,
                          const std::vector<std::pair<std::string, std::uint32_t>>& parameters);
  // Any kind, with whatever follows it.
  std::uint32_t add(std::uint32_t kind, std::string_view name, std::uint32_t count,
                    std::uint32_t size_or_type, std::vector<std::uint32_t> words = {},
                    bool flag = false);

  // A layout section tells the size of this kind: so many words for each of its count.
  void tell_kind(std::uint32_t kind, std::uint32_t words_each);
  // The header is so many bytes longer than it has to be.
  void lengthen_header(std::uint32_t bytes) { more_header_ = bytes; }

  std::vector<std::byte> build() const;

 private:
  std::uint32_t string(std::string_view text);
  std::vector<std::uint32_t> member_words(const std::vector<BtfMember>& members);

  std::uint32_t first_string_ = 0;
  std::uint32_t next_ = 1;
  std::vector<std::uint32_t> types_;
  std::string strings_;
  std::vector<std::uint32_t> layout_;
  std::uint32_t more_header_ = 0;
};

}  // namespace vmcore::testing
