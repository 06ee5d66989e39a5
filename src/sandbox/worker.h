// SPDX-License-Identifier: GPL-2.0-or-later
// Worker: a running vmcore-worker, the only process that reads guest bytes. Killed with the object.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <span>
#include <vector>

#include "src/base/process.h"
#include "src/base/result.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/descriptors.h"
#include "src/sandbox/messages.h"

namespace vmcore::sandbox {

// Changes this process: its workers do their jobs also where they cannot be confined
// (--allow-unconfined). For a command, at its start; no job calls it.
void allow_unconfined_workers();

class Worker {
 public:
  // Starts the program with its channel, a pipe for its last words, and an empty environment: the
  // first of all processes to be killed if the host runs out of memory. Where `executable` is not
  // there, Errc::not_found says so.
  static Result<Worker> start(const std::filesystem::path& executable);

  // One job a worker. The descriptors are borrowed.
  Result<> request(Request request, std::span<const NamedFd> descriptors);
  // The next event. There is none after Done or Failed. A worker that died is an Error that says
  // how; a worker that closed its channel is killed.
  Result<Event> next_event();
  // Answers a Want. Never waits: it is an Error if the worker does not read its answers. What is
  // sent counts as the host's memory, so it gets the next answer when it has read the last.
  Result<> have(const Have& have, std::span<const int> fds);
  // Follows a SourceRead if the request has a capture. If the worker did not accept it, its next
  // event says why.
  void cost(const Cost& cost);
  // Answers a Locate.
  Result<> located(const Located& located, std::span<const int> fds);

  // Kills the worker, whatever it does. An Error if it lives on, because it waits in the kernel:
  // then it may still write to what it was given. It is not waited for any more.
  Result<> end();

  // Readable when an event waits.
  int fd() const { return channel_.fd(); }
  pid_t pid() const { return process_.pid(); }

 private:
  Worker(Process process, Channel channel, Fd words)
      : words_(std::move(words)), channel_(std::move(channel)), process_(std::move(process)) {}
  Result<> answer(std::string_view text, std::span<const int> fds);
  // A worker that is gone is an Error that says how.
  Result<> send(std::string_view text, std::span<const int> fds);
  // Describes the end of the process; kills the process if it does not end by itself.
  Error describe_death();
  // What it wrote to its standard error: ": it said ...", safe to show; empty if that is nothing.
  std::string last_words() const;

  Fd words_;  // the end to read from
  Channel channel_;
  Process process_;  // killed, where it still runs, before its channel is closed
};

// Where the worker lies: beside the running program (a build tree), else in
// ../libexec/vmcorectl/ of it (an installation, wherever it was moved).
Result<std::filesystem::path> worker_executable();

}  // namespace vmcore::sandbox
