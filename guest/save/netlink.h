// The kernel's own language for interfaces, addresses and routes (rtnetlink(7)).
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

// Asks for something (RTM_GET...; what comes back is the answer behind its header), or to have it
// done (with NLM_F_ACK; the answer is empty). Errors are the kernel's: Errc::exists where what is
// to be made is there.
Result<std::vector<std::byte>> ask_netlink(std::uint16_t type, std::uint16_t flags,
                                           std::span<const std::byte> body,
                                           std::initializer_list<NetlinkAttribute> attributes);

}  // namespace vmcore::guest::save
