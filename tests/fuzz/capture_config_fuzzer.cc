// SPDX-License-Identifier: GPL-2.0-or-later
// The configuration of a capture, from its file and from a command line: what is understood is
// written as it is read.
#include <cstdlib>

#include "guest/config/capture_config.h"
#include "tests/fuzz/change.h"

namespace {

const std::vector<std::string> kTexts = {
    "# comment\ntarget = tcp:10.0.2.2:30317\ntarget = ssh:root@[fd00::1]:22\ntarget = port\n"
    "level = 31\nkeep = 3\ndeadline = 600\non-success = reboot\non-failure = shell\n"
    "encrypt-to = x25519:" +
        std::string(64, 'a') +
        "\nnetwork = 52:54:00:12:34:56,10.0.2.15/24,10.0.2.2\nssh-key = /key\ntag = text\n",
    "quiet vmcore.target=port,file:/dev/vda1:crash vmcore.level=1 vmcore.tag=x vmcore.none= "
    "vmcore.network=eth0,fd00::2/64 vmcore.on-failure=halt"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore::guest::config;
  const std::string text = vmcore::fuzz::changed_text(kTexts, std::as_bytes(std::span(data, size)));
  if (const auto config = parse_config(text)) {
    const auto again = parse_config(format_config(*config));
    if (!again || *again != *config) {
      std::abort();
    }
    for (const Target& target : config->targets) {
      static_cast<void>(parse_endpoint(target.where));
      static_cast<void>(parse_ssh_destination(target.where));
    }
  }
  CaptureConfig config;
  static_cast<void>(apply_command_line(config, text));
  return 0;
}
