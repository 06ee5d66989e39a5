// SPDX-License-Identifier: GPL-2.0-or-later
// The early copy: this program, a capture kernel and its capture image inside the initramfs of a
// guest. A script of the initramfs loads it, before local file systems are mounted. The programs
// that make an initramfs run `vmcore-guest early` for it (guest/setup/early_hooks.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::kexec {

// The folder of the copy in an initramfs; it has vmcore-guest, kernel, image and copy.json.
inline constexpr std::string_view kEarlyFolder = "/usr/lib/vmcore-guest";

struct EarlyCopy {
  std::string kernel;  // the paths in the guest of what was copied
  std::string image;
  std::string sum;         // image::image_sum of the capture image
  std::uint64_t size = 0;  // bytes that the copy adds to the initramfs
  bool operator==(const EarlyCopy&) const = default;
};
// Nothing if it cannot be parsed.
std::optional<EarlyCopy> parse_early_copy(std::string_view json);
std::string format_early_copy(const EarlyCopy& copy);

// Puts a copy for the kernel `release` into `folder`, an absolute path where an initramfs is being
// made, and stores for status what it put there. Builds the capture image if it is missing or out
// of date. Errc::unsupported if the kernel is only in a unified image, which would contain itself;
// Errc::denied if the image has the private key of a target ssh.
Result<std::vector<Remark>> make_early_copy(const root::Root& root, std::string_view release,
                                            const std::string& folder);

// The name, in root::kStateFolder, of the file that tells of the newest copy for that kernel.
std::string early_copy_name(std::string_view release);
// What the newest initramfs of that kernel got; nothing if there is no copy.
std::optional<EarlyCopy> read_early_copy(const root::Root& root, std::string_view release);

// Whether the initramfs `initrd` was written after its copy was made. Programs that make one run
// the hook first.
bool is_in_initrd(const root::Root& root, std::string_view release, std::string_view initrd);

// Loads the copy of the running initramfs, and stores the outcome for status.
Result<std::vector<Remark>> load_early_copy(const root::Root& root);

// What load_early_copy did at this boot.
struct EarlyLoad {
  std::chrono::nanoseconds at{};  // time since the boot
  std::string error;              // empty: it loaded the copy
};
// Nothing if it did not run at this boot.
std::optional<EarlyLoad> read_early_load(const root::Root& root);

}  // namespace vmcore::guest::kexec
