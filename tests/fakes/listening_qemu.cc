// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fakes/listening_qemu.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <utility>

#include "tests/fakes/fake_qemu.h"

namespace vmcore::fakes {
namespace {

constexpr const char* kUnknown =
    R"("error": {"class": "CommandNotFound", "desc": "no such command"})";

std::string returned(const std::string& value) { return "\"return\": " + value; }

// As QEMU's target/i386/cpu-dump.c prints the registers of a 64-bit CPU in its kernel, or of one
// without paging.
std::string registers(std::uint64_t rip) {
  const bool kernel = rip >> 63 != 0;
  const std::string zero = "0000000000000000";
  std::string text = "CPU#0\\n";
  const char* const names[] = {"RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "RSP",
                               "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
  for (std::size_t i = 0; i < std::size(names); ++i) {
    text += fmt::format("{}={}{}", names[i], zero, i % 4 == 3 ? "\\n" : " ");
  }
  text += fmt::format("RIP={:016x} RFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\\n", rip);
  for (const char* const segment : {"ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR"}) {
    text += fmt::format("{:3}=0000 {} 00000000 00000000\\n", segment, zero);
  }
  text += fmt::format("GDT=     {} 0000007f\\nIDT=     {} 00000fff\\n", zero, zero);
  text += fmt::format("CR0={} CR2={} CR3={} CR4=00000000\\n", kernel ? "80050033" : "00000010",
                      zero, zero);
  text += fmt::format("EFER={}\\n", kernel ? "0000000000000d01" : zero);
  return text;
}

}  // namespace

ListeningQemu::ListeningQemu(std::filesystem::path socket) : socket_(std::move(socket)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_.c_str(), sizeof address.sun_path - 1);
  ::unlink(socket_.c_str());
  listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  static_cast<void>(
      ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  static_cast<void>(::listen(listener_.get(), 4));
  thread_ = std::thread([this] { serve(); });
}

ListeningQemu::~ListeningQemu() {
  ended_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  {
    const std::lock_guard lock(mutex_);
    ::shutdown(client_, SHUT_RDWR);
  }
  thread_.join();
}

void ListeningQemu::serve() {
  while (!ended_) {
    const Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client) {
      ++clients_;
      talk(client.get());
    }
  }
}

void ListeningQemu::talk(int client) {
  {
    const std::lock_guard lock(mutex_);
    client_ = client;
    say(kGreeting);
  }
  qmp::MessageSplitter splitter;
  std::array<char, 4096> buffer;
  while (!ended_) {
    const ssize_t got = ::recv(client, buffer.data(), buffer.size(), 0);
    if (got <= 0) {
      break;
    }
    splitter.feed({buffer.data(), static_cast<std::size_t>(got)});
    for (auto text = splitter.next(); text && *text; text = splitter.next()) {
      const auto command = qmp::parse_object(**text);
      const std::lock_guard lock(mutex_);
      if (!resets_amid_.empty() && command->at("execute") == resets_amid_) {
        resets_amid_.clear();
        request_reset(resets_at_);
      }
      say(fmt::format("{{{}, \"id\": {}}}\r\n", answer(*command), command->at("id").dump()));
      run_main_loop();
    }
  }
  const std::lock_guard lock(mutex_);
  client_ = -1;
}

void ListeningQemu::say(std::string_view text) const {
  if (client_ >= 0) {
    static_cast<void>(::send(client_, text.data(), text.size(), MSG_NOSIGNAL));
  }
}

void ListeningQemu::tell(std::string_view name, std::string_view data) const {
  say(event(name, 0, data));
}

std::string ListeningQemu::set_actions(const qmp::Json& arguments) {
  std::string deed = "set-action";
  for (const auto& [name, value] : arguments.items()) {
    actions_[name] = value.get<std::string>();
    deed += fmt::format(" {}={}", name, actions_[name]);
  }
  deeds_.push_back(deed);
  return returned("{}");
}

std::string ListeningQemu::answer(const qmp::Json& command) {
  const std::string name = command.at("execute");
  const qmp::Json arguments = command.value("arguments", qmp::Json::object());
  if (name == refused_) {
    return R"("error": {"class": "GenericError", "desc": "it does not want to"})";
  }
  if (name == "query-status") {
    return returned(
        fmt::format(R"({{"status": "{}", "running": {}}})", status_, status_ == "running"));
  }
  if (name == "query-name") {
    return returned(R"({"name": "vm1"})");
  }
  if (name == "query-cpus-fast") {
    return returned(R"([{"cpu-index": 0, "thread-id": 1}])");
  }
  if (name == "human-monitor-command") {
    return returned("\"" + registers(rip_) + "\"");
  }
  if (name == "qmp_capabilities") {
    return returned("{}");
  }
  if (name == "set-action") {
    return set_actions(arguments);
  }
  if (name != "system_reset" && name != "cont" && name != "quit" && name != "inject-nmi") {
    return kUnknown;
  }
  deeds_.push_back(name);
  if (name == "system_reset") {
    tell("RESET", R"({"guest": false, "reason": "host-qmp-system-reset"})");
    status_ = status_ == "running" ? "running" : "prelaunch";
  } else if (name == "cont") {
    if (status_ == "shutdown") {
      return R"("error": {"class": "GenericError", "desc": "Resetting the Virtual Machine is required"})";
    }
    status_ = "running";
    tell("RESUME");
  } else if (name == "quit") {
    ended_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
  }
  return returned("{}");
}

// qemu_system_shutdown_request() and main_loop_should_exit(), softmmu/runstate.c.
void ListeningQemu::shut_down(std::string_view reason) {
  tell("SHUTDOWN", fmt::format(R"({{"guest": true, "reason": "{}"}})", reason));
  if (actions_["shutdown"] == "pause") {
    status_ = "shutdown";
    tell("STOP");
  } else {
    ended_ = true;
    ::shutdown(client_, SHUT_RDWR);
    ::shutdown(listener_.get(), SHUT_RDWR);
  }
}

// qemu_system_reset_request()
void ListeningQemu::request_reset(std::uint64_t rip) {
  rip_ = rip;
  shutdown_requested_ = actions_["reboot"] == "shutdown";
  if (!shutdown_requested_) {
    tell("RESET", R"({"guest": true, "reason": "guest-reset"})");
  }
}

void ListeningQemu::run_main_loop() {
  if (std::exchange(shutdown_requested_, false)) {
    shut_down("guest-reset");
  }
}

void ListeningQemu::guest_resets(std::uint64_t rip) {
  const std::lock_guard lock(mutex_);
  request_reset(rip);
  run_main_loop();
}

void ListeningQemu::guest_resets_amid(std::string command, std::uint64_t rip) {
  const std::lock_guard lock(mutex_);
  resets_amid_ = std::move(command);
  resets_at_ = rip;
}

void ListeningQemu::refuse(std::string command) {
  const std::lock_guard lock(mutex_);
  refused_ = std::move(command);
}

void ListeningQemu::guest_powers_off(std::uint64_t rip) {
  const std::lock_guard lock(mutex_);
  rip_ = rip;
  shut_down("guest-shutdown");
}

void ListeningQemu::guest_panics() {
  const std::lock_guard lock(mutex_);
  tell("GUEST_PANICKED", fmt::format(R"({{"action": "{}"}})", actions_["panic"]));
  status_ = actions_["panic"] == "pause" ? "guest-panicked" : status_;
}

void ListeningQemu::says_something() {
  const std::lock_guard lock(mutex_);
  tell("WATCHDOG", R"({"action": "none"})");
}

void ListeningQemu::hang_up() {
  const std::lock_guard lock(mutex_);
  ::shutdown(client_, SHUT_RDWR);
}

std::string ListeningQemu::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

std::string ListeningQemu::actions() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [name, value] : actions_) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
  }
  return text;
}

std::vector<std::string> ListeningQemu::deeds() const {
  const std::lock_guard lock(mutex_);
  return deeds_;
}

}  // namespace vmcore::fakes
