// SPDX-License-Identifier: GPL-2.0-or-later
// The folder of a stored crash as it is on disk (docs/store.md).
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/report/manifest.h"

namespace vmcore::vault {

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr const char* kStateName = "state.json";
// What a group may read: the manifest and the state, and that the folder is there.
inline constexpr mode_t kFolderMode = 0750;
inline constexpr mode_t kManifestMode = 0640;

// Reads the folder of a crash in the store. What is wrong with it is in `damage`: never an Error,
// for a list shows it. A state that cannot be read counts as held.
report::ListedCrash read_entry(int store, const std::string& id);

// The files in the folder that a manifest lists: all but its own, the state, the lock, and hidden
// ones. `where`: the folder's path, for errors.
Result<std::vector<report::StoredFile>> files_of(int folder, const std::string& where);

// Bytes that the files of the folder take on disk.
std::uint64_t bytes_in(int folder);

// Errc::not_found where there is none.
Result<report::Manifest> read_manifest(int folder);

}  // namespace vmcore::vault
