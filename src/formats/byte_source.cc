// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/byte_source.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "src/base/sys.h"

namespace vmcore::formats {
namespace {

class PlainSource final : public ByteSource {
 public:
  PlainSource(Fd file, std::uint64_t size) : file_(std::move(file)), size_(size) {}

  std::uint64_t size() const override { return size_; }

  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset >= size_) {
      return 0;
    }
    const std::uint64_t left = size_ - offset;
    return sys::pread_full(file_.get(), out.first(std::min<std::uint64_t>(out.size(), left)),
                           offset);
  }

  // The seeks move a file offset that nobody uses. A file system that cannot tell is all data.
  FileRun run(std::uint64_t offset) const override {
    if (offset >= size_) {
      return {};
    }
    const std::uint64_t left = size_ - offset;
    const off_t data = ::lseek(file_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0) {
      return {left, errno == ENXIO && !shrunk()};
    }
    if (const auto at = static_cast<std::uint64_t>(data); at > offset) {
      return {std::min(left, at - offset), true};
    }
    const off_t hole = ::lseek(file_.get(), static_cast<off_t>(offset), SEEK_HOLE);
    if (hole < 0 || static_cast<std::uint64_t>(hole) <= offset) {
      return {left, false};
    }
    return {std::min(left, static_cast<std::uint64_t>(hole) - offset), false};
  }

 private:
  // ENXIO is a hole up to the end, but also any place behind the end.
  bool shrunk() const {
    const Result<std::uint64_t> now = sys::file_size(file_.get());
    return !now || *now < size_;
  }

  Fd file_;
  std::uint64_t size_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> open_plain(Fd file) {
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(file.get()));
  return std::make_unique<PlainSource>(std::move(file), size);
}

Result<std::vector<std::byte>> read_block(const ByteSource& source, std::uint64_t offset,
                                          std::uint64_t size, std::string_view what) {
  if (offset > source.size() || source.size() - offset < size) {
    return fail(Errc::truncated, "{} at {:#x}: {} bytes run past the end of the file ({} bytes)",
                what, offset, size, source.size());
  }
  std::vector<std::byte> bytes(size);
  TRY_ASSIGN(const std::size_t got, source.read(offset, bytes));
  if (got != bytes.size()) {
    return fail(Errc::truncated, "{} at {:#x}: the file shrank while it was read", what, offset);
  }
  return bytes;
}

}  // namespace vmcore::formats
