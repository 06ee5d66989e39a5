// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/far_end.h"

#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <span>
#include <thread>

#include "src/base/start_thread.h"
#include "src/base/sys.h"
#include "src/command/report_error.h"
#include "src/report/job_event.h"

namespace vmcore::cli {
namespace {

// What standard input said.
struct Heard {
  std::mutex mutex;
  std::condition_variable changed;
  bool kept = false;
  bool ended = true;  // until somebody listens
};

// Outlives the thread, which nobody waits for.
Heard& heard() {
  static auto* const one = new Heard;
  return *one;
}

void listen() {
  char byte = 0;
  bool finishes = false;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
    finishes = finishes || byte == report::kFinishWord;
    const std::lock_guard lock(heard().mutex);
    heard().kept = heard().kept || byte == kKept;
    heard().changed.notify_all();
  }
  {
    const std::lock_guard lock(heard().mutex);
    heard().ended = true;
    heard().changed.notify_all();
  }
  if (!finishes) {
    ::kill(::getpid(), SIGTERM);
  }
}

}  // namespace

void end_with_stdin() {
  heard().ended = false;
  auto thread = start_thread<std::thread>(listen);
  if (!thread) {  // it would outlive whoever it belongs to
    std::exit(report_error(thread.error()));
  }
  thread->detach();
}

Result<> ask_whether_kept(const std::string& trailer) {
  TRY(sys::write_full(STDOUT_FILENO, std::as_bytes(std::span(trailer))));
  Heard& said = heard();
  std::unique_lock lock(said.mutex);
  said.changed.wait(lock, [&] { return said.kept || said.ended; });
  return said.kept ? Result<>()
                   : fail(Errc::cancelled, "the vmcorectl that asked for the dump did not keep it");
}

}  // namespace vmcore::cli
