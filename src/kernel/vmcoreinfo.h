// SPDX-License-Identifier: GPL-2.0-or-later
// Vmcoreinfo: the kernel's own description of itself, as lines of text (kernel/vmcore_info.c;
// before v6.9 kernel/crash_core.c). Guest-controlled: every getter checks what it parses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/base/address.h"
#include "src/base/result.h"

namespace vmcore::kernel {

class Vmcoreinfo {
 public:
  // At most this many bytes are accepted (the kernel's own buffer is one page; QEMU passes on up to
  // 1 MiB).
  static constexpr std::size_t kMaxBytes = 1 << 20;

  // Parses KEY=VALUE lines up to the first NUL. Fails with Errc::malformed where there is no
  // OSRELEASE line, with Errc::limit beyond kMaxBytes. Lines that are not KEY=VALUE are skipped;
  // of a key that comes twice the last counts, as in makedumpfile.
  static Result<Vmcoreinfo> parse(std::span<const std::byte> text);

  // The text between the first '=' and the end of the line.
  std::optional<std::string_view> value(std::string_view key) const;

  std::optional<VirtAddr> symbol(std::string_view name) const;  // SYMBOL(name)=hex
  std::optional<std::uint64_t> offset(
      std::string_view member) const;                              // OFFSET(type.member)=dec, bytes
  std::optional<std::uint64_t> size(std::string_view type) const;  // SIZE(type)=dec, bytes
  std::optional<std::uint64_t> length(std::string_view name) const;  // LENGTH(name)=dec, elements
  std::optional<std::int64_t> number(std::string_view name) const;   // NUMBER(name)=dec (or 0x hex)

  std::string_view release() const;  // OSRELEASE
  // CRASHTIME, seconds since the epoch: only where the kernel went through crash_kexec(), that is,
  // with a kdump kernel loaded (v2.6.24, fd59d231f81c).
  std::optional<std::uint64_t> crash_time() const;
  std::optional<std::string_view> build_id() const;  // BUILD-ID (v5.9, 0935288c6e00), hex

  // The text as it was given, without the trailing NULs.
  const std::string& text() const { return text_; }

 private:
  std::optional<std::string_view> value(std::string_view kind, std::string_view name) const;
  std::optional<std::uint64_t> unsigned_value(std::string_view kind, std::string_view name) const;

  std::string text_;
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace vmcore::kernel
