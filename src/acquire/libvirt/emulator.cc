// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/emulator.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <pugixml.hpp>
#include <system_error>

#include "src/acquire/libvirt/connection.h"

namespace vmcore::acquire {

std::string emulator_in(const std::string& capabilities) {
  pugi::xml_document document;
  document.load_string(capabilities.c_str());
  return document.child("domainCapabilities").child_value("path");
}

namespace {

std::string capabilities_of(virConnect* connection) {
  char* const xml =
      virConnectGetDomainCapabilities(connection, nullptr, nullptr, nullptr, nullptr, 0);
  std::string capabilities = xml != nullptr ? xml : "";
  std::free(xml);  // NOLINT: libvirt's strings are malloc's
  return capabilities;
}

// 1,000,000 * major + 1,000 * minor + release (libvirt-host.h); nothing where that is not known.
std::optional<unsigned long> version_number(virConnect* connection) {  // NOLINT: libvirt's type
  unsigned long version = 0;                                           // NOLINT: the same
  return virConnectGetVersion(connection, &version) == 0 ? std::optional(version) : std::nullopt;
}

}  // namespace

void let_libvirt_learn_emulator(const std::string& uri) {
  if (const auto connection = connect_libvirt(uri)) {
    capabilities_of(connection->get());
    version_number(connection->get());
  }
}

std::string version_of_emulator(virConnect* connection, pid_t pid) {
  std::error_code gone;
  // If the file was replaced, the link ends in " (deleted)" and differs.
  const auto running = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), gone);
  std::error_code missing;
  const auto installed =
      std::filesystem::canonical(emulator_in(capabilities_of(connection)), missing);
  const auto version =
      gone || missing || running != installed ? std::nullopt : version_number(connection);
  return version ? fmt::format("{}.{}.{}", *version / 1'000'000, *version / 1'000 % 1'000,
                               *version % 1'000)
                 : "";
}

}  // namespace vmcore::acquire
