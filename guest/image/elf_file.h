// SPDX-License-Identifier: GPL-2.0-or-later
// ElfFile: an ELF file of this guest, a program, a library or a kernel module, read with libelf.
// Not for dumps: libelf trusts a file more than a hostile dump deserves.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"

struct Elf;

namespace vmcore::guest::image {

class ElfFile {
 public:
  // `bytes` must outlive it. Errc::not_recognised if they are not an ELF file, Errc::unsupported if
  // the file is not for 64-bit x86, Errc::malformed if its headers are damaged.
  static Result<ElfFile> parse(std::string_view bytes);

  // The path of the interpreter (PT_INTERP); empty if there is none.
  std::string interpreter() const;
  // The names of the libraries that it needs (DT_NEEDED).
  Result<std::vector<std::string>> libraries() const;
  // The value of a key in .modinfo of a kernel module (include/linux/module.h); empty if there is
  // none.
  std::string module_info(std::string_view key) const;

 private:
  using Handle = std::unique_ptr<Elf, int (*)(Elf*)>;
  ElfFile(std::string_view bytes, Handle elf) : bytes_(bytes), elf_(std::move(elf)) {}

  std::string_view bytes_;
  Handle elf_;
};

}  // namespace vmcore::guest::image
