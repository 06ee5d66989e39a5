// SPDX-License-Identifier: GPL-2.0-or-later
// The build-id that lies in the kernel's own memory, beside the one that VMCOREINFO tells.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"

namespace vmcore::kernel {

// The description of the NT_GNU_BUILD_ID note among these ELF notes, in hex. Errc::not_found where
// there is none.
Result<std::string> build_id_in(std::span<const std::byte> notes);

// The same of the kernel's own notes, between __start_notes and __stop_notes; Errc::not_found also
// where its symbols are not known.
Result<std::string> read_build_id(const GuestKernel& kernel, const Kallsyms& kallsyms);

}  // namespace vmcore::kernel
