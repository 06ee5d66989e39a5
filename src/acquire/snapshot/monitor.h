// SPDX-License-Identifier: GPL-2.0-or-later
// SnapshotMonitor: QEMU's monitor as a snapshot needs it, through QEMU's own socket or through
// libvirt.
#pragma once

#include <cstdint>
#include <string>

#include "qmp/message.h"
#include "src/acquire/guest.h"
#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// One name, so that a descriptor that was left behind by a client killed between getfd and its use
// is replaced by the next getfd.
inline constexpr const char* kSnapshotFdName = "vmcorectl-snapshot";
// The same for a set of them (add-fd).
inline constexpr unsigned kSnapshotFdSet = 0x766d6372;

class SnapshotMonitor {
 public:
  virtual ~SnapshotMonitor() = default;
  // As qmp::Client::execute().
  virtual Result<qmp::Json> execute(const std::string& command,
                                    const qmp::Json& arguments = qmp::Json::object(),
                                    int fd = -1) = 0;
  // Makes sure that QEMU may write into the file, which is empty. It is so afterwards.
  virtual Result<> try_writing(int file) = 0;
  // The beginning of a dump of the guest: headers and notes.
  virtual Result<Fd> dump_header() = 0;
  // How long the guest was paused since the last call. `migration` is QEMU's answer to
  // query-migrate.
  virtual Result<Microseconds> paused(const qmp::Json& migration) = 0;
  // How large a file QEMU may write, where it is known.
  virtual std::uint64_t largest_file() const { return ~std::uint64_t{0}; }
};

}  // namespace vmcore::acquire
