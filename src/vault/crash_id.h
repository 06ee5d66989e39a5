// SPDX-License-Identifier: GPL-2.0-or-later
// The ID of a stored crash, which is the name of its folder:
// "20261129T214500Z-host1-vm1-000017". IDs of many hosts sort by time. The number rises with each
// crash of a store, so that the newest is known when the clock was set back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmcore::vault {

// `time`: seconds since the epoch. Guests name themselves: what is not a letter, a digit or one of
// "._" in a name becomes "_", and a long name is cut.
std::string crash_id(std::uint64_t time, std::string_view host, std::string_view guest,
                     std::uint64_t number);

// The number of an ID; nothing where the text is none.
std::optional<std::uint64_t> number_of(std::string_view id);

}  // namespace vmcore::vault
