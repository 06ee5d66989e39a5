// SPDX-License-Identifier: GPL-2.0-or-later
// CopyRoom: memory that a program shares with its worker. The program copies into it what the
// worker requests from the process that runs a guest, where the worker may not read itself.
//
// A table comes first, into which the worker writes its requests; pages follow. The program does
// not trust the table: it takes a copy of it, and checks that (acquire/process/copy_request.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::sandbox {

struct CopyEntry {
  std::uint64_t address = 0;  // in the guest's process
  std::uint64_t place = 0;    // bytes from the first of CopyRoom::pages()
  std::uint64_t size = 0;     // bytes; afterwards how many of them were copied, from the first on
};

class CopyRoom {
 public:
  static constexpr std::size_t kMostEntries = 16 << 10;

  // A file for that many bytes of pages. Nobody can change its size, so that neither end's mapping
  // can come to have a hole. It takes memory as it is written.
  static Result<Fd> make(std::uint64_t bytes);
  // Errc::malformed where it is none.
  static Result<CopyRoom> map(int file);

  CopyRoom(CopyRoom&& other) noexcept : mapped_(std::exchange(other.mapped_, {})) {}
  CopyRoom& operator=(CopyRoom&& other) noexcept {
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  ~CopyRoom();

  std::span<CopyEntry> table() const;
  std::span<std::byte> pages() const;

 private:
  explicit CopyRoom(std::span<std::byte> mapped) : mapped_(mapped) {}

  std::span<std::byte> mapped_;
};

}  // namespace vmcore::sandbox
