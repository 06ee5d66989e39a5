// SPDX-License-Identifier: GPL-2.0-or-later
// A QEMU of our own behind a socket's path: it has a status and run-state actions, and does with
// its guest what these say.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "qmp/message.h"
#include "src/base/fd.h"

namespace vmcore::fakes {

class ListeningQemu {
 public:
  explicit ListeningQemu(std::filesystem::path socket);
  // It ends: the connection closes, the socket's file stays.
  ~ListeningQemu();
  ListeningQemu(const ListeningQemu&) = delete;
  ListeningQemu& operator=(const ListeningQemu&) = delete;

  // What the guest does; QEMU does what its actions say then. The instruction pointer of its CPU at
  // that time.
  void guest_resets(std::uint64_t rip);
  void guest_powers_off(std::uint64_t rip);
  void guest_panics();
  // It resets while QEMU carries out the next command of that name: what QEMU decides by its action
  // `reboot` comes before, and what it decides by `shutdown` after the command.
  void guest_resets_amid(std::string command, std::uint64_t rip);
  // That command is an error from now on; empty: none is.
  void refuse(std::string command);
  // An event of no importance.
  void says_something();
  // It closes the connection of its client, and takes the next one.
  void hang_up();

  std::string status() const;
  // "reboot=reset panic=shutdown shutdown=poweroff"
  std::string actions() const;
  // The commands but for queries, in order.
  std::vector<std::string> deeds() const;
  unsigned clients() const { return clients_; }
  bool ended() const { return ended_; }

 private:
  void serve();
  void talk(int client);
  std::string answer(const qmp::Json& command);
  std::string set_actions(const qmp::Json& arguments);
  void request_reset(std::uint64_t rip);
  void run_main_loop();
  void shut_down(std::string_view reason);
  void say(std::string_view text) const;
  void tell(std::string_view name, std::string_view data = "{}") const;

  std::filesystem::path socket_;
  Fd listener_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> actions_{
      {"panic", "shutdown"}, {"reboot", "reset"}, {"shutdown", "poweroff"}};
  std::string status_ = "running";
  std::uint64_t rip_ = 0;
  std::string resets_amid_;
  std::uint64_t resets_at_ = 0;
  bool shutdown_requested_ = false;
  std::string refused_;
  std::vector<std::string> deeds_;
  int client_ = -1;
  std::atomic<unsigned> clients_ = 0;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

}  // namespace vmcore::fakes
