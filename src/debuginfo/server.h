// SPDX-License-Identifier: GPL-2.0-or-later
// Debug information from debuginfod servers (DEBUGINFOD_URLS), through libdebuginfod, which keeps
// what it gets in its own cache.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::debuginfo {

// How long a server may take to answer at all: dead ones cost less than 5 s, also if no name server
// answers. Then a server may take long to find and unpack a file.
inline constexpr unsigned kServerSeconds = 3;

// The servers of the list that answer HTTP requests now; asked at the same time. `dead` gets an
// Error for each of the others.
std::vector<std::string> living_servers(const std::vector<std::string>& urls,
                                        std::vector<Error>& dead);

class Servers {
 public:
  // The servers of DEBUGINFOD_URLS that answer. Sets DEBUGINFOD_URLS of this process to them, so
  // that libdebuginfod asks no others. Errc::not_found, with the reasons, if none answers.
  static Result<Servers> open(std::vector<Remark>& remarks);

  // The path of the file with debug information of that build-id, in libdebuginfod's cache.
  // `progress` gets the bytes so far; false ends the transfer. Errc::not_found.
  Result<std::string> find(const std::string& build_id,
                           const std::function<bool(std::uint64_t)>& progress);

 private:
  struct Ender {
    void operator()(void* client) const;
  };
  explicit Servers(void* client) : client_(client) {}
  std::unique_ptr<void, Ender> client_;
};

}  // namespace vmcore::debuginfo
