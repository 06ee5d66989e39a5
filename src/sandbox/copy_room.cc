// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/copy_room.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>

#include "src/base/sys.h"
#include "src/image/page.h"

namespace vmcore::sandbox {
namespace {

constexpr std::uint64_t kTableSize = CopyRoom::kMostEntries * sizeof(CopyEntry);
static_assert(kTableSize % kPageSize == 0);

}  // namespace

Result<Fd> CopyRoom::make(std::uint64_t bytes) {
  Fd file(::memfd_create("copied", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) {
    return fail_errno(errno, "memfd_create");
  }
  TRY(sys::truncate(file.get(), kTableSize + bytes));
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return fail_errno(errno, "seals");
  }
  return file;
}

Result<CopyRoom> CopyRoom::map(int file) {
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(file));
  if (size < kTableSize) {
    return fail(Errc::malformed, "worker protocol: a room without a table");
  }
  void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) {
    return fail_errno(errno, "room for what is copied");
  }
  return CopyRoom({static_cast<std::byte*>(at), size});
}

CopyRoom::~CopyRoom() {
  if (!mapped_.empty()) {
    ::munmap(mapped_.data(), mapped_.size());
  }
}

std::span<CopyEntry> CopyRoom::table() const {
  return {reinterpret_cast<CopyEntry*>(mapped_.data()), kMostEntries};
}

std::span<std::byte> CopyRoom::pages() const { return mapped_.subspan(kTableSize); }

}  // namespace vmcore::sandbox
