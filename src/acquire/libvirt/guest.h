// SPDX-License-Identifier: GPL-2.0-or-later
// A guest by libvirt's public API: its memory-only dump into a pipe, which the worker reads; to its
// end (method libvirt), or no further than its headers, while memory is read in QEMU (method
// direct). No monitor commands, so the domain is not tainted.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "src/acquire/guest.h"
#include "src/acquire/libvirt/connection.h"
#include "src/acquire/libvirt/dump.h"
#include "src/acquire/libvirt/dump_target.h"
#include "src/acquire/method.h"
#include "src/acquire/process/guest_process.h"
#include "src/acquire/qmp/monitor_map.h"

namespace vmcore::acquire {

class LibvirtGuest : public Guest {
 public:
  // Errc::guest_state for a domain that is shut off.
  static Result<std::unique_ptr<LibvirtGuest>> open(const Selection& selection);
  // Makes it method direct from now on; the errors of open_domain_process(). Where its memory lies
  // is found out as well, for while a dump goes on nothing is asked of libvirt: by the definition
  // and the maps of QEMU, which must then be what libvirt's virDomainMemoryPeek shows. Where that
  // tells nothing certain, QEMU's monitor is asked, if that is allowed, else it is
  // Errc::unsupported.
  Result<> use_process();
  // The beginning of a dump of a running guest, which waits for it.
  Result<Fd> dump_header();
  // Borrowed, until state() is asked next.
  virConnect* connection() const { return connection_.get(); }
  virDomain* domain() const { return domain_.get(); }

  const std::string& name() const override { return name_; }
  std::string handle() const override;
  GuestIdentity identity() override;
  std::vector<std::string> keys() const override;
  std::vector<Remark> remarks() const override;
  Result<std::uint64_t> memory_size() override;
  Result<GuestState> state() override;
  bool runs_after_crash() const override { return runs_after_crash_; }
  std::optional<std::uint64_t> host_memory() override;
  const GuestProcess* process() const override { return process_ ? &*process_ : nullptr; }
  Result<> check_readable() override;
  Result<> check_idle() override;
  bool needs_spool(const GuestState&) const override { return !process_; }
  bool in_place() const override { return process_.has_value(); }
  Result<Acquired> acquire(const GuestState& state, const Patience& patience) override;
  Result<Fd> fetch(PhysRange range) override;
  Result<ImageSource> locate(std::span<const PhysRange> blocks) override;
  Result<ImageSource> look() override;
  Result<std::vector<CpuState>> registers() override;
  Result<> act(Then then) override;

 private:
  LibvirtGuest(LibvirtConnection connection, LibvirtDomain domain, std::string name,
               Selection selection)
      : selection_(std::move(selection)),
        connection_(std::move(connection)),
        domain_(std::move(domain)),
        name_(std::move(name)) {}

  // libvirtd may have been restarted meanwhile.
  Result<> reconnect();
  // A dump that goes into the target. Waits for its first byte where there is a holder of its pipe,
  // else for its end. `cut_short`: not all of it will be read.
  Result<std::unique_ptr<Lease>> begin(DumpTarget& target, lease::Holder* holder, bool running,
                                       bool cut_short, const Patience& patience);
  Execute by_monitor();
  Result<std::vector<RamBlock>> find_memory() const;
  Result<> ask_monitor();
  Result<Acquired> acquire_pipe(bool running, const Patience& patience);
  // That pause has no bound: libvirt ends it when it has written all.
  Result<Acquired> acquire_file(bool running, const Patience& patience);

  Selection selection_;
  LibvirtConnection connection_;
  LibvirtDomain domain_;
  std::string name_;
  std::optional<GuestProcess> process_;
  std::vector<RamBlock> ram_;
  // All that the monitor told of, with ROM and the memory of devices.
  std::optional<std::vector<RamBlock>> told_;
  std::uint64_t libvirt_version_ = 0;  // that it was opened by
  bool tainted_ = false;
  bool target_refused_ = false;  // the last dump failed for its target (LibvirtDump)
  bool runs_after_crash_ = false;
};

Result<std::unique_ptr<Guest>> open_direct_domain(const Selection& selection);
Result<std::unique_ptr<Guest>> open_libvirt_guest(const Selection& selection);

}  // namespace vmcore::acquire
