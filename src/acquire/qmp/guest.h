// SPDX-License-Identifier: GPL-2.0-or-later
// A guest by its QEMU's own monitor.
//
// With its process (method direct): QEMU's detached dump goes into a pipe that is read no further
// than its headers and notes, and so is held; memory is read in the process meanwhile. QEMU neither
// resumes nor migrates the guest while the dump goes on.
//
// Without (method qmp), a running guest: the dump goes into the pipe, all of it; the guest runs
// again when the last byte is read. A guest that stands still: the dump's first bytes, then ranged
// dumps of what is asked for, so that nothing is read that is not kept.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "qmp/client.h"
#include "src/acquire/crash/guest_keys.h"
#include "src/acquire/guest.h"
#include "src/acquire/method.h"
#include "src/acquire/process/guest_process.h"
#include "src/acquire/qmp/lease.h"

namespace vmcore::acquire {

class QmpGuest : public Guest {
 public:
  // By a monitor that keeps events(), which nobody else may use at the same time.
  static Result<std::unique_ptr<QmpGuest>> make(std::shared_ptr<qmp::Client> monitor,
                                                std::optional<GuestProcess> process = {});
  // The events that a monitor for this class must keep.
  static std::vector<std::string> events();

  // From now on keys() tells by what the guest behind that socket is known.
  void find_keys(const std::filesystem::path& socket) { keys_ = keys_of_monitor(monitor_, socket); }

  const std::string& name() const override { return name_; }
  GuestIdentity identity() override;
  std::vector<std::string> keys() const override { return keys_; }
  Result<std::uint64_t> memory_size() override;
  Result<GuestState> state() override;
  std::optional<std::uint64_t> host_memory() override;
  const GuestProcess* process() const override { return process_ ? &*process_ : nullptr; }
  Result<> check_readable() override;
  Result<> check_idle() override;
  Result<std::vector<Remark>> mend() override;
  bool needs_spool(const GuestState& state) const override { return state.running && !process_; }
  bool in_place() const override { return process_.has_value(); }
  Result<Acquired> acquire(const GuestState& state, const Patience& patience) override;
  Result<Fd> fetch(PhysRange range) override;
  Result<ImageSource> locate(std::span<const PhysRange> blocks) override;
  Result<ImageSource> look() override;
  Result<std::vector<CpuState>> registers() override;
  Result<> act(Then then) override;

 protected:
  QmpGuest(std::shared_ptr<qmp::Client> monitor, std::string name,
           std::optional<GuestProcess> process)
      : owner_(std::move(monitor)),
        monitor_(*owner_),
        name_(std::move(name)),
        process_(std::move(process)) {}
  static Result<std::string> name_of_guest(qmp::Client& monitor);
  qmp::Client& client() { return monitor_; }

 private:
  // Gives QEMU a descriptor to dump into, and starts. The arguments beside it. Where QEMU does not
  // answer in time, `holder`, which may be null, drops the lease at once.
  Result<> start_dump(int target, qmp::Json arguments, qmp::Milliseconds timeout = kDumpTimeout,
                      lease::Holder* holder = nullptr);
  // A detached dump of everything.
  Result<> start_full_dump(lease::Holder& holder, qmp::Milliseconds timeout);
  Result<Acquired> acquire_header();
  Result<> reset();
  // What was found in the process is the guest's, or Errc::unsupported. What was proven before is
  // not asked for again.
  Result<> prove(std::span<const RamBlock> found);
  bool is_proven(const RamBlock& block) const;

  std::shared_ptr<qmp::Client> owner_;
  qmp::Client& monitor_;  // of owner_
  std::string name_;
  std::optional<GuestProcess> process_;
  std::vector<RamBlock> proven_;
  GuestKeys keys_;
};

// Errc::denied or Errc::unsupported where the process cannot be read by this user or in this way.
Result<std::unique_ptr<Guest>> open_direct_guest(const Selection& selection);
Result<std::unique_ptr<Guest>> open_qmp_guest(const Selection& selection);

}  // namespace vmcore::acquire
