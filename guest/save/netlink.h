// SPDX-License-Identifier: GPL-2.0-or-later
// Interfaces, addresses and routes of the kernel (rtnetlink(7)).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "src/base/result.h"

namespace vmcore::guest::save {

struct NetlinkAttribute {
  std::uint16_t type;
  std::span<const std::byte> value;
};

// Sends one request and returns the payload of the answer: data for RTM_GET..., nothing for a
// change with NLM_F_ACK. Errors are those of the kernel; Errc::exists if the object to create
// exists.
Result<std::vector<std::byte>> ask_netlink(std::uint16_t type, std::uint16_t flags,
                                           std::span<const std::byte> body,
                                           std::initializer_list<NetlinkAttribute> attributes);

}  // namespace vmcore::guest::save
