// SPDX-License-Identifier: GPL-2.0-or-later
// What earlier crashes left in this guest: the dumps of targets on its disks
// (guest/save/target_file.cc, target_raw.cc), and the records in pstore.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/image/disk_folder.h"
#include "guest/root/root.h"

namespace vmcore::guest::status {

struct SavedDump {
  std::string path;       // vmcore, vmcore.incomplete or the log of a dump; a raw device
  std::string time;       // guest/save/dump_time.h; a time in 1970 if unknown
  bool complete = false;  // as far as is known: a sealed stream counts as complete
  bool only_log = false;  // the memory could not be saved
  // Of `vmcore-guest test`, else empty. Nothing: unknown, because the stream is sealed.
  std::optional<std::string> tag = {};
};

// The path of the folder of a target in this guest; nothing if its file system is not mounted, if
// the folder is hidden, and for targets without a folder.
std::optional<std::string> folder_of_target(const root::Root& root,
                                            const std::vector<image::MountPoint>& mounts,
                                            const config::Target& target);
// The targets whose folder is not visible: whether they hold a dump is unknown.
std::vector<std::string> unseen_targets(const root::Root& root,
                                        const config::CaptureConfig& config);

// The newest dump of all targets that are visible.
std::optional<SavedDump> newest_dump(const root::Root& root, const config::CaptureConfig& config);

// Moves the records in pstore to a folder in kStateFolder and returns its path; empty if there are
// none. pstore keeps the kernel log of a crash across the reboot if the machine has storage for it.
// Writes what the records say together beside them: dmesg.txt, reason, versions (pstore_bundle.h).
// A record that cannot be read stays; the rest is moved, and then its error is returned.
Result<std::string> collect_pstore(const root::Root& root);
// The newest folder that collect_pstore() made; empty if no folder exists.
std::string newest_pstore(const root::Root& root);

}  // namespace vmcore::guest::status
