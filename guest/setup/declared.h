// SPDX-License-Identifier: GPL-2.0-or-later
// Systems whose files are made from a declaration or come with an image: what setup would write
// there is lost, or is not what boots.
#pragma once

#include <string>

#include "guest/root/tree.h"

namespace vmcore::guest::setup {

// Errc::denied on NixOS, Guix System and ostree (bootc, CoreOS); the message names the option that
// sets `reservation` ("crashkernel=128M") there.
Result<> refuse_declared(const root::Tree& tree, const std::string& reservation);

}  // namespace vmcore::guest::setup
