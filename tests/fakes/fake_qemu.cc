// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fakes/fake_qemu.h"

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>

namespace vmcore::fakes {
namespace {

// Bytes and descriptors of one receive; no bytes at the end.
std::string receive(int socket, std::vector<Fd>& fds) {
  std::array<char, 4096> buffer;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message); got > 0 && header != nullptr) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    fds.emplace_back(fd);
  }
  return {buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

}  // namespace

std::string event(std::string_view name, unsigned microseconds, std::string_view data) {
  return fmt::format(
      R"({{"timestamp": {{"seconds": 1000, "microseconds": {}}}, "event": "{}", "data": {}}})"
      "\r\n",
      microseconds, name, data);
}

FakeQemu::FakeQemu() {
  int ends[2] = {-1, -1};
  static_cast<void>(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  client_ = Fd(ends[0]);
  socket_ = Fd(ends[1]);
}

FakeQemu::~FakeQemu() {
  hang_up();
  finish();
}

void FakeQemu::say(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return;  // the client has gone
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void FakeQemu::hang_up() { ::shutdown(socket_.get(), SHUT_RDWR); }

std::string FakeQemu::answer(const std::map<std::string, Answer>& answers, const qmp::Json& command,
                             std::vector<Fd>& fds) {
  const std::string name = command.at("execute");
  heard_.push_back(name);
  const auto found = answers.find(name);
  std::string value = "{}";
  if (found != answers.end()) {
    value = found->second(command.value("arguments", qmp::Json::object()), fds);
  } else if (name != "qmp_capabilities") {
    value = R"({"error": {"class": "CommandNotFound", "desc": "no such command"}})";
  }
  const std::string id = command.at("id").dump();
  if (value.starts_with(R"({"error")")) {
    return value.substr(0, value.size() - 1) + R"(, "id": )" + id + "}\r\n";
  }
  return fmt::format("{{\"return\": {}, \"id\": {}}}\r\n", value, id);
}

void FakeQemu::answer_all(const std::map<std::string, Answer>& answers) {
  qmp::MessageSplitter splitter;
  std::vector<Fd> fds;
  while (true) {
    const std::string bytes = receive(socket_.get(), fds);
    if (bytes.empty()) {
      return;
    }
    splitter.feed(bytes);
    for (auto text = splitter.next(); text && *text; text = splitter.next()) {
      if (const auto command = qmp::parse_object(**text)) {
        say(answer(answers, *command, fds));
      }
    }
  }
}

void FakeQemu::serve(std::map<std::string, Answer> answers, std::string_view greeting) {
  say(greeting);
  server_ = std::thread([this, answers = std::move(answers)] { answer_all(answers); });
}

std::vector<std::string> FakeQemu::finish() {
  if (server_.joinable()) {
    server_.join();
  }
  return heard_;
}

}  // namespace vmcore::fakes
