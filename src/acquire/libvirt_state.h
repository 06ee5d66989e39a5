// How a libvirt domain stands, in words.
#pragma once

#include <string>

namespace vmcore::acquire {

// Of virDomainGetState(). The reason is told where it matters to whoever reads it, and to tell
// whether the guest is as it was found.
std::string name_of_state(int state, int reason);

}  // namespace vmcore::acquire
