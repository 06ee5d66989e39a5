// SPDX-License-Identifier: GPL-2.0-or-later
// The service: waits for crashes of a host's guests, and keeps them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/config/config.h"

namespace vmcore::daemon {

inline constexpr const char* kUsualState = "/var/lib/vmcored";

// The words of its command line. What they say comes before what the file says.
struct ServiceOptions {
  std::filesystem::path config = {};  // empty: the usual file, which need not be there
  std::vector<std::string> uris = {};
  std::vector<std::filesystem::path> qmp_folders = {};
  std::filesystem::path store = {};
  std::filesystem::path state = kUsualState;
};

// Where neither words nor file name guests, they are those of qemu:///system.
Result<config::Config> configuration(const ServiceOptions& options);

// Runs until SIGTERM or SIGINT; returns the exit code. SIGHUP: reads the configuration again.
int run_service(const ServiceOptions& options);

}  // namespace vmcore::daemon
