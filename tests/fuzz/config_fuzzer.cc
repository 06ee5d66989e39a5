// SPDX-License-Identifier: GPL-2.0-or-later
// Files of a configuration, and settings of a domain's metadata. A configuration that is accepted
// is printed as a file that reads as the same configuration.
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdlib>

#include "src/base/fd.h"
#include "src/base/sys.h"
#include "src/config/config.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore;

const std::vector<std::string> kTexts = {
    config::effective_text({}),
    "[service]\nconnect = [\"a:\"]\n[guest.\"web*\"]\nlevel = 1\n[guest.vm1]\nstore-size = "
    "'2GiB'\n",
    "guest.\"[a-b\".level = 3 # comment\n[store]\nmax-share = \"\"\"5%\"\"\"\n"};

config::Checked checked(const std::string& text) {
  Fd file(::memfd_create("config", MFD_CLOEXEC));
  ::fchmod(file.get(), 0600);
  static_cast<void>(sys::write_full(file.get(), std::as_bytes(std::span(text))));
  return config::check(fmt::format("/proc/self/fd/{}", file.get()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = fuzz::changed_text(kTexts, std::as_bytes(std::span(data, size)));
  const config::Checked first = checked(text);
  static_cast<void>(first.config.policy_of("web1", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"));
  static_cast<void>(config::as_asked({}, {{{"level", text}, {text, "1"}, {"store-size", text}}}));
  if (first.errors.empty()) {
    const std::string shown = config::effective_text(first.config);
    const config::Checked again = checked(shown);
    if (!again.errors.empty() || config::effective_text(again.config) != shown) {
      std::abort();
    }
  }
  return 0;
}
