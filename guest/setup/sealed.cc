// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/sealed.h"

#include <fcntl.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <span>
#include <sstream>

#include "guest/root/device_link.h"
#include "guest/setup/boot_loader.h"
#include "src/base/little_endian.h"
#include "src/base/sys.h"

namespace vmcore::guest::setup {
namespace {

constexpr const char* kSecureBoot =
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

// The path of a device in crypttab(5), which may have the form "UUID=\"5A0B...\"".
std::string device_path(std::string source) {
  if (source.starts_with("UUID=")) {
    std::erase(source, '"');
    std::ranges::transform(source, source.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  }
  return root::device_link(source);
}

// The program that bound the volume to this machine, according to the tokens in its LUKS2 header
// (the JSON area after the first 4096 bytes); empty if there is none or the header cannot be read.
std::string bound_by(const root::Root& root, const std::string& device) {
  constexpr std::size_t kHeader = 64U << 10;
  const auto fd = root.open(device, O_RDONLY);
  std::string header(kHeader, '\0');
  const auto length = fd ? sys::pread_full(fd->get(), std::as_writable_bytes(std::span(header)), 0)
                         : Result<std::size_t>(0);
  if (!length || !header.starts_with("LUKS\xba\xbe")) {
    return "";
  }
  std::erase_if(header, [](char c) { return c == ' ' || c == '\n'; });
  for (const auto* const token : {"clevis", "systemd-tpm2"}) {
    if (header.find(fmt::format("\"type\":\"{}\"", token)) != std::string::npos) {
      return token;
    }
  }
  return "";
}

// The cost of a line of /etc/crypttab; empty if it has none.
std::string cost_of_volume(const root::Root& root, const std::string& line) {
  std::istringstream fields(line);
  std::string volume;
  std::string source;
  std::string key;
  std::string options;
  fields >> volume >> source >> key >> options;
  if (volume.empty() || volume.front() == '#') {
    return "";
  }
  const std::string by = options.find("tpm2-device=") != std::string::npos
                             ? "systemd-cryptenroll"
                             : bound_by(root, device_path(source));
  return by.empty() ? ""
                    : fmt::format(
                          "/etc/crypttab: {} is unlocked by the TPM ({}): if its key is sealed to "
                          "PCR 8, 9, 11 or 12, the next boot asks for the passphrase, and the key "
                          "must be enrolled again",
                          volume, by);
}

bool secure_boot(const root::Root& root) {
  const auto value = root.read(kSecureBoot);  // 4 bytes of attributes, then the value
  return value && value->size() == 5 && value->back() == 1;
}

}  // namespace

Result<std::vector<std::string>> costs_of_changed_line(const root::Tree& tree) {
  std::vector<std::string> costs;
  TRY_ASSIGN(const std::string crypttab, tree.text("/etc/crypttab"));
  std::istringstream lines(crypttab);
  for (std::string line; std::getline(lines, line);) {
    if (std::string cost = cost_of_volume(tree.root(), line); !cost.empty()) {
      costs.push_back(std::move(cost));
    }
  }
  if (secure_boot(tree.root()) && uki_found(tree)) {
    costs.emplace_back(
        "Secure Boot is on and the kernel is a unified image: its signature covers the command "
        "line, so an addon or a new image must be signed as well");
  }
  return costs;
}

}  // namespace vmcore::guest::setup
