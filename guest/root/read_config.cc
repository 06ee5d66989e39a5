// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/read_config.h"

namespace vmcore::guest::root {

Result<config::CaptureConfig> read_config(const Root& root) {
  const auto text = root.read(config::kConfigFile);
  if (!text) {
    return text.error().code == Errc::not_found
               ? Result<config::CaptureConfig>(config::CaptureConfig())
               : tl::unexpected(text.error());
  }
  auto config = config::parse_config(*text);
  if (!config) {
    return in_context(std::move(config).error(), config::kConfigFile);
  }
  return config;
}

}  // namespace vmcore::guest::root
