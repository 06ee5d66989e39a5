// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <vector>

#include "src/report/manifest.h"

namespace vmcore::vault {

// The manifests, as far as they go, of crashes that programs write into the store just now. Empty
// where the store cannot be read.
std::vector<report::Manifest> being_written(const std::filesystem::path& store);

}  // namespace vmcore::vault
