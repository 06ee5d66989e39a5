// The capture kernel's modules: those of the image, in the order in which `build` wrote them down.
#pragma once

#include <string>

#include "guest/save/say.h"

namespace vmcore::guest::init {

// Loads the modules of a folder in the order of its list (kModuleList, a name a line), and removes
// them: the files of an initramfs lie in memory. One that the kernel refuses is told and skipped:
// the targets will say what they miss.
void load_modules(const std::string& folder, const save::Say& say);

}  // namespace vmcore::guest::init
