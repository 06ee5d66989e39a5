// A domain's definition, as libvirt writes it (https://libvirt.org/formatdomain.html): what it says
// of dumps, and what it has to say so that a crash can be dumped.
#pragma once

#include <string>
#include <string_view>

#include "src/acquire/process/ram_layout.h"
#include "src/acquire/setup.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// Errc::malformed for text that defines no domain.
Result<GuestSetup> read_definition(const std::string& xml);

// Where it says that the guest has its memory. Errc::unsupported where it does not say where what
// is plugged in lies.
Result<MemoryDefinition> read_memory_definition(const std::string& xml);

// The path of the UNIX socket at the host's end of a virtio-serial channel of that name; empty
// where there is none. It is known of a domain that runs.
Result<std::string> channel_path(const std::string& xml, std::string_view channel);

// Both written in the same way, so that they differ in nothing but what was changed.
struct DefinitionEdit {
  std::string before;
  std::string after;
};

// Turns on vmcoreinfo, and on PCs adds a panic device and the channel for what a guest's own
// capture kernel sends. With a panic device libvirt's default, which destroys a guest that crashed,
// would leave nothing to dump: it is kept instead (`preserve`); an action that was chosen stays.
// Errc::unsupported for guests that are not QEMU's, and for those whose definition is somebody
// else's.
Result<DefinitionEdit> prepare_definition(const std::string& xml);

}  // namespace vmcore::acquire
