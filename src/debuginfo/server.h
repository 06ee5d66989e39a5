// SPDX-License-Identifier: GPL-2.0-or-later
// Debug information from debuginfod servers (DEBUGINFOD_URLS), through libdebuginfod, which keeps
// what it gets in its own cache.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::debuginfo {

// How long a server may take to answer at all: dead ones cost less than 5 s, also if no name server
// answers.
inline constexpr unsigned kServerSeconds = 3;

// How long a server that answers may send nothing.
struct ServerPatience {
  // Before a file: it is unpacked first. A kernel took 2 minutes on Fedora's server (elfutils
  // 0.192). DEBUGINFOD_TIMEOUT, where it is set.
  std::chrono::seconds first{180};
  std::chrono::seconds between{15};  // in the middle of a file
};

// The servers of the list that answer HTTP requests now; asked at the same time. `dead` gets an
// Error for each of the others.
std::vector<std::string> living_servers(const std::vector<std::string>& urls,
                                        std::vector<Error>& dead);

class Servers {
 public:
  // The servers of DEBUGINFOD_URLS that answer. Sets DEBUGINFOD_URLS of this process to them, so
  // that libdebuginfod asks no others. Errc::not_found, with the reasons, if none answers.
  static Result<Servers> open(std::vector<Remark>& remarks, ServerPatience patience = {});

  // The path of the file with debug information of that build-id, in libdebuginfod's cache.
  // Errc::not_found. Errc::io, with how long that took, where the server stopped sending: later
  // calls fail at once then.
  Result<std::string> find(const std::string& build_id);

 private:
  struct Ender {
    void operator()(void* client) const;
  };
  Servers(void* client, ServerPatience patience) : client_(client), patience_(patience) {}

  std::unique_ptr<void, Ender> client_;
  ServerPatience patience_;
  bool given_up_ = false;
};

}  // namespace vmcore::debuginfo
