// SPDX-License-Identifier: GPL-2.0-or-later
// The service: waits for crashes of a host's guests, and keeps them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/config/config.h"
#include "src/control/control.h"

namespace vmcore::daemon {

inline constexpr const char* kUsualState = "/var/lib/vmcored";

// The command line. Its options come before the same keys of the configuration.
struct ServiceOptions {
  std::filesystem::path config = {};  // empty: the usual file, which need not be there
  std::vector<std::string> uris = {};
  std::vector<std::filesystem::path> qmp_folders = {};
  std::filesystem::path store = {};
  std::filesystem::path state = kUsualState;
  std::filesystem::path socket = control::kUsualSocket;  // where commands reach it
};

// If neither the command line nor the file names guests, they are those of qemu:///system.
Result<config::Config> configuration(const ServiceOptions& options);

// Runs until SIGTERM or SIGINT; returns the exit code. SIGHUP: reads the configuration again.
int run_service(const ServiceOptions& options);

// For a service that has ended and is not started again: gives all armed guests back. The next
// service arms them again. Returns the exit code.
int give_back_guests(const ServiceOptions& options);

}  // namespace vmcore::daemon
