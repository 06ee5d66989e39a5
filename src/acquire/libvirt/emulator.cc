// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/emulator.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <pugixml.hpp>
#include <system_error>

namespace vmcore::acquire {

std::string emulator_in(const std::string& capabilities) {
  pugi::xml_document document;
  document.load_string(capabilities.c_str());
  return document.child("domainCapabilities").child_value("path");
}

std::string version_of_emulator(virConnect* connection, pid_t pid) {
  char* const xml =
      virConnectGetDomainCapabilities(connection, nullptr, nullptr, nullptr, nullptr, 0);
  const std::string capabilities = xml != nullptr ? xml : "";
  std::free(xml);  // NOLINT: libvirt's strings are malloc's
  std::error_code gone;
  // If the file was replaced, the link ends in " (deleted)" and differs.
  const auto running = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), gone);
  std::error_code missing;
  const auto installed = std::filesystem::canonical(emulator_in(capabilities), missing);
  unsigned long version = 0;  // NOLINT: libvirt's type
  if (gone || missing || running != installed || virConnectGetVersion(connection, &version) != 0) {
    return "";
  }
  // libvirt-host.h: 1,000,000 * major + 1,000 * minor + release.
  return fmt::format("{}.{}.{}", version / 1'000'000, version / 1'000 % 1'000, version % 1'000);
}

}  // namespace vmcore::acquire
