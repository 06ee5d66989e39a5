// SPDX-License-Identifier: GPL-2.0-or-later
// Text that others chose (names, the guest), for an XML document.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vmcore::show {

// Any bytes as character data or the value of an attribute: UTF-8, of at most `most` characters and
// then an ellipsis. Invalid UTF-8, characters that XML 1.0 does not allow (its production 2, Char)
// and control characters become U+FFFD.
std::string xml_text(std::string_view bytes, std::size_t most);

}  // namespace vmcore::show
