// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/target_kinds.h"

#include <algorithm>
#include <array>

namespace vmcore::guest::save {
namespace {

template <auto parse>
Result<> parses(const std::string& where) {
  const auto parsed = parse(where);
  return parsed ? Result<>() : tl::unexpected(parsed.error());
}
Result<> any(const std::string&) { return {}; }

Result<config::Endpoint> tcp_endpoint(const std::string& where) {
  return config::parse_endpoint(where);
}
Result<config::Endpoint> ssh_endpoint(const std::string& where) {
  return config::parse_ssh_destination(where).map(&config::SshDestination::endpoint);
}

const std::array<TargetKind, 7> kTargetKinds = {{
    {.kind = "port",
     .form = "port[:NAME]",
     .place = Place::host,
     .drivers = {"virtio-serial ports", {"virtio_console"}},
     .save = save_to_port,
     .check = any},
    {.kind = "vsock",
     .form = "vsock[:PORT]",
     .place = Place::host,
     .drivers = {"vsock", {"vmw_vsock_virtio_transport"}},
     .save = save_to_vsock,
     .check = parses<parse_vsock_port>},
    {.kind = "tcp",
     .form = "tcp:ADDRESS:PORT",
     .place = Place::network,
     .drivers = {"virtio network cards", {"virtio_net"}},
     .save = save_to_tcp,
     .check = parses<tcp_endpoint>,
     .endpoint = tcp_endpoint},
    {.kind = "ssh",
     .form = "ssh:USER@ADDRESS[:PORT]",
     .place = Place::network,
     .drivers = {"virtio network cards", {"virtio_net"}},
     .save = save_to_ssh,
     .check = parses<ssh_endpoint>,
     .endpoint = ssh_endpoint},
    {.kind = "file",
     .form = "file:DEVICE:/FOLDER",
     .place = Place::folder,
     .drivers = {"virtio disks", {"virtio_blk", "virtio_scsi"}, {"sd_mod"}},
     .save = save_to_folder,
     .check = parses<parse_file_place>},
    {.kind = "raw",
     .form = "raw:/dev/NAME",
     .place = Place::device,
     .drivers = {"virtio disks", {"virtio_blk", "virtio_scsi"}, {"sd_mod"}},
     .save = save_to_device,
     .check = check_raw_name},
    {.kind = "output",
     .form = "",
     .place = Place::file,
     .drivers = {},
     .save = save_to_file,
     .check = any},
}};

}  // namespace

Result<const TargetKind*> find_target(std::string_view kind) {
  const auto* const found = std::ranges::find(kTargetKinds, kind, &TargetKind::kind);
  if (found == kTargetKinds.end()) {
    return fail(Errc::invalid, "unknown kind of target \"{}\": use one of {}", kind,
                fmt::join(target_forms(), ", "));
  }
  return found;
}

std::optional<Place> place_of(const config::Target& target) {
  const auto kind = find_target(target.kind);
  return kind ? std::optional((*kind)->place) : std::nullopt;
}

std::vector<std::string_view> target_forms() {
  std::vector<std::string_view> forms;
  for (const TargetKind& kind : kTargetKinds) {
    if (!kind.form.empty()) {
      forms.push_back(kind.form);
    }
  }
  return forms;
}

std::optional<config::IpAddress> network_address_of(const config::Target& target) {
  const auto kind = find_target(target.kind);
  const auto endpoint = kind && (*kind)->endpoint != nullptr ? (*kind)->endpoint(target.where)
                                                             : fail(Errc::not_found, "no network");
  return endpoint ? std::optional(endpoint->address) : std::nullopt;
}

std::string device_of(const config::Target& target) {
  const auto place = place_of(target);
  return place == Place::folder   ? parse_file_place(target.where).value_or(FilePlace()).device
         : place == Place::device ? target.where
                                  : "";
}

}  // namespace vmcore::guest::save
