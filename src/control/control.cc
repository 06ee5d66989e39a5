// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/control/control.h"

namespace vmcore::control {

Result<Answer> ask(const std::filesystem::path& socket, const Request& /*request*/) {
  return fail(Errc::not_found, "no vmcored listens on {}", socket.string());
}

}  // namespace vmcore::control
