// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/config/config.h"

namespace vmcore::config {

GuestPolicy Config::policy_of(const std::string& /*name*/, const std::string& /*uuid*/) const {
  return guests;
}

Result<Config> load(const std::filesystem::path& /*file*/) { return Config{}; }

}  // namespace vmcore::config
