// SPDX-License-Identifier: GPL-2.0-or-later
// raw: the stream on a block device of its own, without a file system.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "guest/save/block_device.h"
#include "guest/save/logical_volume.h"
#include "guest/save/target_stream.h"
#include "src/base/all_zero.h"
#include "src/base/sync.h"
#include "src/base/sys.h"

namespace vmcore::guest::save {
namespace {

constexpr std::chrono::seconds kDeviceWait{30};
// Partition tables, LUKS, LVM, swap and file systems all write something in this range. btrfs, gfs2
// and reiserfs write nothing in the first 64 KiB.
constexpr std::size_t kBegin = 1U << 20;

Result<convert::Outcome> write_device(int fd, const Crash& crash) {
  TRY(check_is_free(fd));
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(fd));
  // On such a small device the newest half of the log and its frames fit.
  const StreamSteps steps{.most_log = size / 2,
                          .log_is_out = [&]() -> Result<> {
                            TRY(sync_fd(fd, "the log"));
                            crash.say("the log is on the device");
                            return {};
                          },
                          .check_room =
                              [&](std::uint64_t wanted) {
                                const std::uint64_t log =
                                    std::min(size / 2, crash.report.dmesg.size());
                                return check_room("it", size - log, {}, wanted);
                              }};
  auto outcome = send_stream(formats::send_to(fd), crash, steps);
  const Result<> synced = sync_fd(fd, "sync");  // the partial stream is useful
  return outcome && !synced ? tl::unexpected(synced.error()) : std::move(outcome);
}

}  // namespace

Result<> check_raw_name(const std::string& where) {
  if (!where.starts_with("/dev/") && !where.starts_with(kVolumePrefix)) {
    return fail(Errc::invalid,
                "\"{}\" is not /dev/NAME: a UUID or a label names a file system, which the dump "
                "would overwrite",
                where);
  }
  return {};
}

Result<> check_is_free(int fd) {
  std::vector<std::byte> begin(kBegin);
  TRY(sys::pread_full(fd, begin, 0));  // beyond the end of a small device are zeros
  const auto magic = std::as_bytes(std::span(formats::kFrameMagic));
  if (all_zero(begin) || std::ranges::equal(std::span(begin).first(magic.size()), magic)) {
    return {};
  }
  const auto system = probe_file_system(fd);
  return fail(Errc::exists, "it holds {}: to use it for dumps, clear its first MiB",
              system ? "a file system (" + system->type + ")" : "other data");
}

Result<Saved> save_to_device(const std::string& where, const Crash& crash) {
  TRY(check_may_be_seen(crash.config, crash.encryption));
  TRY(check_raw_name(where));
  TRY_ASSIGN(const std::string path, ready_device(where, kDeviceWait));
  const Fd fd(::open(path.c_str(), O_RDWR | O_EXCL | O_CLOEXEC));  // O_EXCL: fails if it is mounted
  if (!fd) {
    return fail_errno(errno, path);
  }
  auto outcome = write_device(fd.get(), crash);
  if (!outcome) {
    return in_context(std::move(outcome).error(), path);
  }
  return Saved{path, *std::move(outcome)};
}

}  // namespace vmcore::guest::save
