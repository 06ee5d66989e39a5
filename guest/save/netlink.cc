// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/netlink.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "src/base/fd.h"
#include "src/base/little_endian.h"

namespace vmcore::guest::save {
namespace {

void append(std::vector<std::byte>& message, std::span<const std::byte> bytes) {
  message.insert(message.end(), bytes.begin(), bytes.end());
  message.resize(NLMSG_ALIGN(message.size()));
}

std::vector<std::byte> make_message(std::uint16_t type, std::uint16_t flags,
                                    std::span<const std::byte> body,
                                    std::initializer_list<NetlinkAttribute> attributes) {
  std::vector<std::byte> message(sizeof(nlmsghdr));
  append(message, body);
  for (const NetlinkAttribute& attribute : attributes) {
    const rtattr header{static_cast<std::uint16_t>(RTA_LENGTH(attribute.value.size())),
                        attribute.type};
    append(message, as_bytes(header));
    append(message, attribute.value);
  }
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(message.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  std::memcpy(message.data(), &header, sizeof header);
  return message;
}

}  // namespace

Result<std::vector<std::byte>> ask_netlink(std::uint16_t type, std::uint16_t flags,
                                           std::span<const std::byte> body,
                                           std::initializer_list<NetlinkAttribute> attributes) {
  const Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  const std::vector<std::byte> message = make_message(type, flags, body, attributes);
  std::vector<std::byte> answer(16U << 10);
  ssize_t size = -1;
  if (fd && ::send(fd.get(), message.data(), message.size(), 0) >= 0) {
    size = ::recv(fd.get(), answer.data(), answer.size(), 0);
  }
  if (size < 0) {
    return fail_errno(errno, "netlink");
  }
  answer.resize(static_cast<std::size_t>(size));
  const auto header = load<nlmsghdr>(answer, 0);
  const auto error = load<nlmsgerr>(answer, sizeof(nlmsghdr));
  if (!header) {
    return fail(Errc::malformed, "netlink: the answer is truncated ({} bytes)", size);
  }
  if (header->nlmsg_type != NLMSG_ERROR) {
    answer.erase(answer.begin(), answer.begin() + sizeof(nlmsghdr));
    return answer;
  }
  if (!error || error->error != 0) {
    return fail_errno(error ? -error->error : EIO, "the kernel refused the request");
  }
  return std::vector<std::byte>();
}

}  // namespace vmcore::guest::save
