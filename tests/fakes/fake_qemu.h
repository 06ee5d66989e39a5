// SPDX-License-Identifier: GPL-2.0-or-later
// A QEMU of our own on one end of a socket pair: says what a test tells it to say.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "qmp/message.h"
#include "src/base/fd.h"

namespace vmcore::fakes {

inline constexpr std::string_view kGreeting =
    R"({"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}})"
    "\r\n";

class FakeQemu {
 public:
  FakeQemu();
  ~FakeQemu();
  FakeQemu(const FakeQemu&) = delete;
  FakeQemu& operator=(const FakeQemu&) = delete;

  // The end for the code under test. Once.
  Fd client_end() { return std::move(client_); }

  // Sends these bytes, as they are.
  void say(std::string_view bytes) const;
  void hang_up();

  // Answers one command: the text of the value of "return", or a whole message that begins with
  // {"error". What it says by say() comes before the answer.
  using Answer = std::function<std::string(const qmp::Json& arguments, std::vector<Fd>& fds)>;

  // Greets (unless that was done by say()), then answers commands by name until the client hangs
  // up; an unknown one is CommandNotFound. qmp_capabilities is known. In a thread of its own.
  void serve(std::map<std::string, Answer> answers, std::string_view greeting = kGreeting);

  // The commands that were heard, in order; call when the client has hung up.
  std::vector<std::string> finish();

 private:
  void answer_all(const std::map<std::string, Answer>& answers);
  std::string answer(const std::map<std::string, Answer>& answers, const qmp::Json& command,
                     std::vector<Fd>& fds);

  Fd client_;
  Fd socket_;
  std::thread server_;
  std::vector<std::string> heard_;
};

// The text of an event.
std::string event(std::string_view name, unsigned microseconds = 0, std::string_view data = "{}");

}  // namespace vmcore::fakes
