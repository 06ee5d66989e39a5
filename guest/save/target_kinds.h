// SPDX-License-Identifier: GPL-2.0-or-later
// The kinds of targets, a row each in kTargetKinds (target_kinds.cc): what the folders above need
// to know of a kind. They name a kind only for what is special to it: the files of the ssh client
// (guest/image/ssh_files.h), the key of tcp (guest/config), the devices of port and vsock
// (guest/status).
//
// To add a kind: target_KIND.cc with a SaveTo function, its declaration in target.h, a row in
// kTargetKinds, a line of CMake, a test, a section in docs/man/vmcore-guest.8. If its stream must
// always be sealed, also parse_config (guest/config). If its Place is new, the switches over Place:
// check_target and add_target (guest/image/needed_modules.cc), newest_dump
// (guest/status/saved_dumps.cc).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/config/capture_config.h"
#include "guest/save/target.h"
#include "src/base/result.h"

namespace vmcore::guest::save {

// Where a target's dump is when it is saved.
enum class Place : std::uint8_t {
  host,     // sent to the host by a device of this machine
  network,  // sent to another machine
  folder,   // a file in a file system of this guest's disks
  device,   // a stream on a block device
  file,     // one file here; not in a configuration, for `vmcore-guest save`
};

// Kernel modules that serve one purpose: at least one of `any` must be there, as a module or built
// in. What there is of `also` is loaded before them.
struct Drivers {
  std::string_view what;  // "virtio disks"
  std::vector<std::string_view> any;
  std::vector<std::string_view> also = {};
};

struct TargetKind {
  std::string_view kind;
  std::string_view form;  // how it is configured: "tcp:ADDRESS:PORT"
  Place place;
  Drivers drivers;
  SaveTo save;
  Result<> (*check)(const std::string& where);  // Errc::invalid if `where` does not fit the form
  // Place::network only: whom the target connects to.
  Result<config::Endpoint> (*endpoint)(const std::string& where) = nullptr;
};

// The row of the kind. Errc::invalid if there is none, with the forms that there are.
Result<const TargetKind*> find_target(std::string_view kind);
// Its place; nothing if there is no such kind.
std::optional<Place> place_of(const config::Target& target);

// How targets can be configured, in the order of the table.
std::vector<std::string_view> target_forms();

// The address of a network target; nothing for other kinds and for a `where` that does not fit.
std::optional<config::IpAddress> network_address_of(const config::Target& target);
// The block device of a target on a disk, as find_device takes it ("UUID=12" of "UUID=12:/crash");
// empty for other kinds.
std::string device_of(const config::Target& target);

}  // namespace vmcore::guest::save
