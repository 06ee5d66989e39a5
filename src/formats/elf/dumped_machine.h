// SPDX-License-Identifier: GPL-2.0-or-later
// Of which machine a dump is. Writers fill the header's name in as they like: QEMU 10 and later
// write "Unknown" into every kdump file, makedumpfile before 1.6.9 writes that of Linux 5.11 and
// later shifted by four bytes. So the notes count, and the header only where they tell nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/image/image.h"

namespace vmcore::formats {

// Whether uname(2) of a machine that is not read says this.
bool is_foreign_machine(std::string_view name);

// What uname(2) says on the machine of that e_machine; "machine number N" where it is not known.
std::string elf_machine_name(std::uint16_t machine);

// QEMU writes the notes and the ELF header of an i386 where its first CPU is not in long mode
// (target/i386/arch_dump.c, cpu_get_dump_info, v1.3 and later). Where no CPU pages yet (firmware, a
// boot loader), no kernel of either kind runs, and memory is just memory: that is no failure.
//
// Returns the architecture of the dump; the host's where neither header nor notes tell one. Fails
// with Errc::unsupported, and the name of the machine, for a dump of a Xen hypervisor, or of a
// machine that is not in src/image/arch.h. Adds a remark where the notes prove a machine and the
// header names another one.
Result<Arch> check_machine(std::string_view header_says, const std::vector<Note>& notes,
                           std::vector<Remark>& remarks);

}  // namespace vmcore::formats
