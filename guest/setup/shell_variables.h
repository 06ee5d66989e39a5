// SPDX-License-Identifier: GPL-2.0-or-later
// The variables of configuration files that a shell reads, such as /etc/default/grub.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace vmcore::guest::setup {

using Variables = std::map<std::string, std::string, std::less<>>;

// Carries out the assignments of a script: quotes, $NAME, +=, comments, continued lines. Commands
// are skipped; those inside a value, $(...), stay as they are written.
void evaluate(std::string_view script, Variables& variables);

// The text with $NAME and ${NAME} replaced; unknown names by nothing.
std::string expanded(std::string_view text, const Variables& variables);

// The value; empty if it is not set.
std::string value_of(const Variables& variables, std::string_view name);

}  // namespace vmcore::guest::setup
