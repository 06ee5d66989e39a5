// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "src/base/all_zero.h"
#include "src/base/sys.h"

namespace vmcore::debuginfo {
namespace {

using Archive = ::archive;
using OpenArchive = std::unique_ptr<Archive, decltype(&::archive_read_free)>;

constexpr std::uint64_t kMostFiles = 1U << 20;
constexpr std::uint64_t kMostBytes = 64ULL << 30;  // Oracle's debuginfo unpacks to 5 GiB
constexpr std::size_t kBlock = 256 << 10;
constexpr std::size_t kHole = 4096;

// Only formats that libarchive reads by itself: no filter that starts a program.
OpenArchive new_reader() {
  OpenArchive reader(::archive_read_new(), &::archive_read_free);
  for (const auto support :
       {::archive_read_support_filter_bzip2, ::archive_read_support_filter_gzip,
        ::archive_read_support_filter_lz4, ::archive_read_support_filter_lzma,
        ::archive_read_support_filter_rpm, ::archive_read_support_filter_xz,
        ::archive_read_support_filter_zstd, ::archive_read_support_format_ar,
        ::archive_read_support_format_cpio, ::archive_read_support_format_tar,
        ::archive_read_support_format_raw}) {
    support(reader.get());
  }
  return reader;
}

tl::unexpected<Error> error_of(Archive* reader) {
  const char* const text = ::archive_error_string(reader);
  return fail(Errc::malformed, "damaged archive: {}", text == nullptr ? "" : text);
}

class Walk {
 public:
  Walk(const std::function<Result<Choice>(const std::string&)>& choose,
       const std::function<Result<>()>& taken)
      : choose_(choose), taken_(taken) {}

  // Returns whether to go on.
  Result<bool> walk(Archive* reader, bool is_inner) {
    ::archive_entry* entry = nullptr;
    int got = ARCHIVE_OK;
    while ((got = ::archive_read_next_header(reader, &entry)) != ARCHIVE_EOF) {
      if (got < ARCHIVE_WARN) {
        return error_of(reader);
      }
      if (++files_ > kMostFiles) {
        return fail(Errc::limit, "more than {} files in one archive", kMostFiles);
      }
      const char* path = ::archive_entry_pathname(entry);
      path = path == nullptr ? ::archive_entry_pathname_utf8(entry) : path;
      const std::string name = path == nullptr ? "" : path;
      const bool is_package = ::archive_format(reader) == ARCHIVE_FORMAT_AR_GNU ||
                              ::archive_format(reader) == ARCHIVE_FORMAT_AR_BSD ||
                              ::archive_format(reader) == ARCHIVE_FORMAT_AR;
      if (is_package && !is_inner) {
        TRY_ASSIGN(const bool more, name.starts_with("data.tar") ? walk_inner(reader) : true);
        if (!more) {
          return false;
        }
        continue;
      }
      TRY_ASSIGN(const bool more, look_at(reader, entry, name));
      if (!more) {
        return false;
      }
    }
    return true;
  }

 private:
  // The archive that is the content of an entry.
  struct Outer {
    Archive* reader;
    std::string buffer;
  };

  static ssize_t read_outer(Archive* /*inner*/, void* data, const void** block) {
    auto* const outer = static_cast<Outer*>(data);
    *block = outer->buffer.data();
    return ::archive_read_data(outer->reader, outer->buffer.data(), outer->buffer.size());
  }

  Result<bool> walk_inner(Archive* reader) {
    Outer outer{reader, std::string(kBlock, '\0')};
    const OpenArchive inner = new_reader();
    if (::archive_read_open(inner.get(), &outer, nullptr, &read_outer, nullptr) != ARCHIVE_OK) {
      return error_of(inner.get());
    }
    return walk(inner.get(), true);
  }

  Result<bool> look_at(Archive* reader, ::archive_entry* entry, const std::string& name) {
    if (::archive_entry_filetype(entry) != AE_IFREG || ::archive_entry_hardlink(entry) != nullptr) {
      return true;
    }
    TRY_ASSIGN(const Choice choice, choose_(name));
    if (choice.what == Choice::What::stop) {
      return false;
    }
    TRY(read_data(reader, choice.what == Choice::What::take ? choice.fd : -1));
    if (choice.what == Choice::What::take) {
      TRY(taken_());
    }
    return true;
  }

  // Counts what is skipped as well: it is uncompressed, too.
  Result<> read_data(Archive* reader, int fd) {
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    int got = ARCHIVE_OK;
    while ((got = ::archive_read_data_block(reader, &data, &size, &offset)) != ARCHIVE_EOF) {
      if (got < ARCHIVE_WARN) {
        return error_of(reader);
      }
      bytes_ += size;
      if (bytes_ > kMostBytes || offset < 0 || static_cast<std::uint64_t>(offset) > kMostBytes) {
        return fail(Errc::limit, "more than {} GiB in one archive", kMostBytes >> 30);
      }
      if (fd >= 0) {
        TRY(write(fd, {static_cast<const std::byte*>(data), size},
                  static_cast<std::uint64_t>(offset)));
      }
    }
    return {};
  }

  // Leaves holes for zeros.
  static Result<> write(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
    TRY(sys::truncate(fd, offset + bytes.size()));
    for (std::size_t at = 0; at < bytes.size(); at += kBlock) {
      const auto block = bytes.subspan(at, std::min(kBlock, bytes.size() - at));
      if (block.size() < kHole || !all_zero(block)) {
        TRY(sys::pwrite_full(fd, block, offset + at));
      }
    }
    return {};
  }

  const std::function<Result<Choice>(const std::string&)>& choose_;
  const std::function<Result<>()>& taken_;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace

Result<> walk_archive(int fd, const std::function<Result<Choice>(const std::string& path)>& choose,
                      const std::function<Result<>()>& taken) {
  const OpenArchive reader = new_reader();
  if (::archive_read_open_fd(reader.get(), fd, kBlock) != ARCHIVE_OK) {
    return fail(Errc::not_recognised, "it is no package or archive that can be read");
  }
  Walk walk(choose, taken);
  TRY(walk.walk(reader.get(), false));
  return {};
}

}  // namespace vmcore::debuginfo
