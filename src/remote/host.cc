// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/remote/host.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "src/base/number.h"

namespace vmcore::remote {
namespace {

constexpr std::array<std::string_view, 3> kTransports{"ssh", "libssh", "libssh2"};

// The text up to the separator, which is then gone from it with the separator; all where there is
// none.
std::string_view cut(std::string_view& text, char separator) {
  const std::size_t at = text.find(separator);
  const std::string_view first = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return first;
}

std::string decoded(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto escaped = text.size() >= 3 && text.front() == '%'
                             ? parse_number<std::uint8_t>(text.substr(1, 2), 16)
                             : std::nullopt;
    out += escaped ? static_cast<char>(*escaped) : text.front();
    text.remove_prefix(escaped ? 3 : 1);
  }
  return out;
}

// Splits "host", "host:port", "[::1]" and "[::1]:port".
std::pair<std::string_view, std::string_view> host_and_port(std::string_view text) {
  if (text.starts_with('[')) {
    text.remove_prefix(1);
    const std::string_view host = cut(text, ']');
    return {host, text.starts_with(':') ? text.substr(1) : std::string_view()};
  }
  const std::string_view host = cut(text, ':');
  return {host, text};
}

// What the parameter of that name adds to ssh's words, or to the URI.
void take_parameter(std::string_view name, std::string_view value, RemoteHost& remote) {
  std::vector<std::string>& words = remote.ssh;
  if (name == "command") {
    words.front() = decoded(value);
  } else if (name == "keyfile") {
    words.insert(words.end(), {"-i", decoded(value)});
  } else if (name == "no_tty" && value != "0") {
    words.insert(words.end(), {"-o", "BatchMode=yes"});
  } else if (name == "no_verify" && value != "0") {
    words.insert(words.end(), {"-o", "StrictHostKeyChecking=no"});
  } else if (name == "socket") {
    remote.uri += fmt::format("?socket={}", value);
  }
}

}  // namespace

Result<RemoteHost> parse_remote_uri(const std::string& uri) {
  std::string_view rest = uri;
  std::string_view scheme = cut(rest, ':');
  const std::string_view driver = cut(scheme, '+');
  const bool is_ssh = std::ranges::find(kTransports, scheme) != kTransports.end();
  if (driver.empty() || !is_ssh || !rest.starts_with("//")) {
    return fail(Errc::invalid, "--remote needs a URI with ssh: -c qemu+ssh://HOST/system");
  }
  rest.remove_prefix(2);
  std::string_view query = rest;
  std::string_view path = cut(query, '?');
  std::string_view place = cut(path, '/');
  const std::size_t at = place.rfind('@');
  const std::string user =
      at == std::string_view::npos ? std::string() : decoded(place.substr(0, at));
  const auto [host, port] =
      host_and_port(at == std::string_view::npos ? place : place.substr(at + 1));
  const bool is_port = std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; });
  RemoteHost remote{
      .name = decoded(host), .ssh = {"ssh", "-T"}, .uri = fmt::format("{}:///{}", driver, path)};
  if (remote.name.empty() || remote.name.starts_with('-') || !is_port) {
    return fail(Errc::invalid, "{} does not name a host for ssh", uri);
  }
  if (!user.empty()) {
    remote.ssh.insert(remote.ssh.end(), {"-l", user});
  }
  if (!port.empty()) {
    remote.ssh.insert(remote.ssh.end(), {"-p", std::string(port)});
  }
  while (!query.empty()) {
    std::string_view value = cut(query, '&');
    const std::string_view name = cut(value, '=');
    take_parameter(name, value, remote);
  }
  remote.ssh.insert(remote.ssh.end(), {"--", remote.name});
  return remote;
}

}  // namespace vmcore::remote
