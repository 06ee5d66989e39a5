// SPDX-License-Identifier: GPL-2.0-or-later
// vmcored: keeps the crashes of a host's guests.
#include "src/daemon/service.h"

int main() { return vmcore::daemon::run_service({}); }
