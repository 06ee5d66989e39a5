// raw: the guest's stream on a block device of its own, which needs no file system.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "guest/save/block_device.h"
#include "guest/save/target_stream.h"
#include "src/base/all_zero.h"
#include "src/base/sys.h"

namespace vmcore::guest {
namespace {

constexpr std::chrono::seconds kDeviceWait{10};
// Partition tables, file systems, LUKS, LVM and swap all leave something here.
constexpr std::size_t kBegin = 64U << 10;

Result<> check_is_ours(int fd) {
  std::vector<std::byte> begin(kBegin);
  TRY_ASSIGN(const std::size_t got, sys::pread_full(fd, begin, 0));
  const auto magic = std::as_bytes(std::span(formats::kFrameMagic));
  if (!all_zero(begin) &&
      (got < magic.size() || !std::ranges::equal(std::span(begin).first(magic.size()), magic))) {
    return fail(Errc::exists,
                "it holds something else; if it is to hold crashes, clear its first 64 KiB once");
  }
  return {};
}

Result<convert::Outcome> write_device(int fd, const Crash& crash) {
  TRY(check_is_ours(fd));
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(fd));
  if (const std::uint64_t wanted = room_wanted(crash.image); size < wanted) {
    return fail(Errc::no_space, "it has {} MiB, and a dump may need {} MiB", size >> 20,
                wanted >> 20);
  }
  TRY_ASSIGN(convert::Outcome outcome, send_stream(formats::send_to(fd), crash));
  if (::fsync(fd) != 0) {
    return fail_errno(errno, "sync");
  }
  return outcome;
}

}  // namespace

Result<Saved> save_to_device(const std::string& where, const Crash& crash) {
  TRY(check_may_be_seen(crash.config));
  TRY_ASSIGN(const std::string path, find_device(where, kDeviceWait));
  const Fd fd(::open(path.c_str(), O_RDWR | O_EXCL | O_CLOEXEC));  // nor is it mounted
  if (!fd) {
    return fail_errno(errno, path);
  }
  auto outcome = write_device(fd.get(), crash);
  if (!outcome) {
    return in_context(std::move(outcome).error(), path);
  }
  return Saved{path, *std::move(outcome)};
}

}  // namespace vmcore::guest
