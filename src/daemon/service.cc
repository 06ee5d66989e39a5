// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/service.h"

namespace vmcore::daemon {

int run_service(const config::Config& /*config*/) { return 1; }

}  // namespace vmcore::daemon
