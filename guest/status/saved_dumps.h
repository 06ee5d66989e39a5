// What earlier crashes left on this guest's own disks: the dumps of targets "file" and "raw"
// (guest/save/target_file.cc, target_raw.cc), and the pieces of log in pstore.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/image/disk_folder.h"
#include "guest/root/root.h"

namespace vmcore::guest::status {

struct SavedDump {
  std::string path;  // of the file: vmcore, vmcore.incomplete, or dmesg.txt where that is all; of
                     // the raw device
  std::string time;  // guest/save/dump_time.h; that of 1970 where it is not known
  bool complete = false;  // as far as can be told: nothing tells of a sealed one that it is not
  // Of a crash on purpose, else empty. A sealed one tells none.
  std::optional<std::string> tag = {};
};

// Where this guest sees the folder of a "file" target now; nothing where its file system is not
// mounted, or it is hidden.
std::optional<std::string> folder_of_target(const root::Root& root,
                                            const std::vector<image::MountPoint>& mounts,
                                            const config::Target& target);
// The "file" targets whose folder it does not see: whether they hold a dump is not known.
std::vector<std::string> unseen_targets(const root::Root& root,
                                        const config::CaptureConfig& config);

// The newest of all targets that can be looked at.
std::optional<SavedDump> newest_dump(const root::Root& root, const config::CaptureConfig& config);

// pstore keeps what the kernel said when it crashed, across the reboot, where the machine has room
// for it. Takes it out of there into a folder of kStateFolder; the folder's path, empty where there
// was nothing. What cannot be read stays where it is, and is the error once the rest is kept.
Result<std::string> collect_pstore(const root::Root& root);
// The newest of these folders; empty where there is none.
std::string newest_pstore(const root::Root& root);

}  // namespace vmcore::guest::status
