// SPDX-License-Identifier: GPL-2.0-or-later
// Normalising: what the header of our dumps says, whatever the source's header said.
#pragma once

#include <cstdint>
#include <optional>

#include "filters/plan.h"
#include "src/convert/convert.h"
#include "src/convert/provenance.h"
#include "src/formats/dump_writer.h"
#include "src/image/image.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::convert {

// When the guest crashed: CRASHTIME of its VMCOREINFO, else the provenance of the source, else the
// host's event, else the header of the source.
struct CrashTime {
  std::optional<std::uint64_t> seconds;  // since the epoch
  TimeSource source = TimeSource::none;
};
CrashTime crash_time(const MemoryImage& image, const kernel::GuestKernel* kernel,
                     std::optional<std::uint64_t> host_event_time);

// The notes in the order that readers want: VMCOREINFO (recovered where the source had none or a
// wrong one, left out where it describes a kernel that no vCPU runs), NT_PRSTATUS and then the QEMU
// notes of all vCPUs, each in Linux's CPU order: of a file with QEMU notes, crash takes the n-th
// NT_PRSTATUS for Linux's CPU n, and drgn the one whose process is n + 1, which is made so. Notes
// of the crashed kernel's own (/proc/vmcore) stay as they are: crash gives the n-th to the n-th
// online CPU. All other notes verbatim, but for one of ours. phys_base is the kernel's (QEMU's
// kdump sub-header has a wrong one). Segments as /proc/vmcore has them: the kernel image, then the
// direct map. `kernel` may be null. Doubts are added to `remarks`.
formats::DumpHeader make_header(const MemoryImage& image, const kernel::GuestKernel* kernel,
                                const filters::PlanSummary& plan, const CrashTime& time,
                                std::vector<Remark>& remarks);

// The segment of a kernel image that begins at `physical`. Nothing where the image has no bytes, or
// a guest maps it to where no memory can be.
std::optional<formats::VirtSegment> image_segment(kernel::GuestKernel::VirtRange image,
                                                  PhysAddr physical);

// What our own note says. A file that was captured by us stays so when it is converted.
Provenance make_provenance(const MemoryImage& image, const filters::PlanSummary& plan,
                           const CrashTime& time, const std::optional<Capture>& capture,
                           const std::vector<Remark>& remarks);

}  // namespace vmcore::convert
