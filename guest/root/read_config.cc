#include "guest/root/read_config.h"

namespace vmcore::guest {

Result<CaptureConfig> read_config(const Root& root) {
  const auto text = root.read(kConfigFile);
  if (!text) {
    return text.error().code == Errc::not_found ? Result<CaptureConfig>(CaptureConfig())
                                                : tl::unexpected(text.error());
  }
  auto config = parse_config(*text);
  if (!config) {
    return in_context(std::move(config).error(), kConfigFile);
  }
  return config;
}

}  // namespace vmcore::guest
