// SPDX-License-Identifier: GPL-2.0-or-later
// Commands in messages, which the reader can paste: they name the selected guest and the given
// connection, quoted for the shell (base/shell.h). All commands that name a guest are made here.
#pragma once

#include <string>
#include <string_view>

#include "src/acquire/method.h"

namespace vmcore::acquire {

// `virsh [-c URI] VERB DOMAIN WORDS`. `domain` is what virsh takes for no other one
// (GuestSetup::handle); verb and words are ours.
std::string virsh_command(const Selection& guest, std::string_view verb, const std::string& domain,
                          std::string_view words = "");
// `vmcorectl VERB [-c URI [--remote]] DOMAIN`, or with --qmp.
std::string vmcorectl_command(const Selection& guest, std::string_view verb,
                              const std::string& domain);
// How `then` is done without us.
std::string by_hand(const Selection& guest, Then then, const std::string& domain);

// The domain's name, or its UUID if the name could be another domain's id or UUID.
std::string handle_of(const std::string& name, const std::string& uuid);

}  // namespace vmcore::acquire
