// SPDX-License-Identifier: GPL-2.0-or-later
// Loads the modules of a capture image.
#pragma once

#include <string>

#include "guest/save/say.h"

namespace vmcore::guest::init {

// Loads the modules in the order of the list in the folder (kModuleList), and deletes their files,
// because the files of an initramfs use memory. A module that the kernel refuses is reported and
// skipped.
void load_modules(const std::string& folder, const save::Say& say);

}  // namespace vmcore::guest::init
