// SPDX-License-Identifier: GPL-2.0-or-later
// A domain's definition, as libvirt writes it (https://libvirt.org/formatdomain.html): the parts
// that matter to dumps, and the parts that it needs so that a crash can be dumped.
#pragma once

#include <string>
#include <string_view>

#include "src/acquire/process/ram_layout.h"
#include "src/acquire/setup.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// Errc::malformed for text that does not define a domain.
Result<GuestSetup> read_definition(const std::string& xml);

// The guest's memory by the definition. Errc::unsupported if it does not give the address of
// plugged memory.
Result<MemoryDefinition> read_memory_definition(const std::string& xml);

// The path of the UNIX socket at the host's end of a virtio-serial channel of that name; empty if
// there is none. Known only of a running domain.
Result<std::string> channel_path(const std::string& xml, std::string_view channel);

// The path of the log file of a domain's console; empty if it has none. That is what a serial port
// or console writes to (type='file'), or what libvirt copies the output to (<log file=...>).
Result<std::string> console_path(const std::string& xml);

// Both are written in the same way, so that they differ only in what was changed.
struct DefinitionEdit {
  std::string before;
  std::string after;
};

// Enables vmcoreinfo, and on PCs adds a panic device and the channel for the dump that a guest's
// own capture kernel sends. With a panic device, libvirt's default destroys a guest that crashed,
// and nothing would be left to dump; so it becomes `preserve`, unless somebody chose another
// action. Errc::unsupported for guests that do not run in QEMU, and for definitions that another
// program owns.
Result<DefinitionEdit> prepare_definition(const std::string& xml);

}  // namespace vmcore::acquire
