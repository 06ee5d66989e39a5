// How much of its memory a capture kernel did not need.
#pragma once

#include "guest/save/say.h"

namespace vmcore::guest::init {

// Says how much was left when the largest child of this process, all of which are gone, ran: what
// crashkernel= could do without.
void tell_memory(const save::Say& say);

}  // namespace vmcore::guest::init
