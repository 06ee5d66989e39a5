// SPDX-License-Identifier: GPL-2.0-or-later
// The keys by which a guest, or the line through which it sends its dump, is known on this host,
// whatever name was used. Two that share a key are the same. Each key can be a file's name.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "qmp/client.h"
#include "src/acquire/guest.h"

namespace vmcore::acquire {

using GuestKeys = std::vector<std::string>;

// Of a libvirt domain, whatever its connection.
std::string domain_key(std::string_view uuid);
std::string process_key(const ProcessKey& process);
// Of a socket, pipe or terminal, by its inode; none if nothing is there, and none for a file or
// disk, which any number of processes may read.
GuestKeys keys_of_file(const std::filesystem::path& path);

// Of the guest behind a monitor: its socket, and its process if that is known.
GuestKeys keys_of_monitor(qmp::Client& monitor, const std::filesystem::path& socket);
// Of the guest that has the channel `path`, by a descriptor that is connected to it: its process,
// if QEMU itself made the socket.
GuestKeys keys_behind_channel(const std::filesystem::path& path, int connected);

}  // namespace vmcore::acquire
