// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/memory_desk.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

#include "src/acquire/process/copy_request.h"
#include "src/base/start_thread.h"
#include "src/sandbox/read_line.h"

namespace vmcore::job {

Result<std::unique_ptr<MemoryDesk>> MemoryDesk::open(acquire::Guest& guest, unsigned threads) {
  const unsigned lines = std::clamp(threads, 1U, sandbox::kMostLines);
  TRY_ASSIGN(Fd file, sandbox::CopyRoom::make(lines * sandbox::kWindow));
  TRY_ASSIGN(sandbox::CopyRoom windows, sandbox::CopyRoom::map(file.get()));
  std::unique_ptr<MemoryDesk> desk(new MemoryDesk(guest, std::move(file), std::move(windows)));
  for (unsigned i = 0; i < lines; ++i) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      return fail_errno(errno, "socketpair");
    }
    desk->lines_.push_back({sandbox::line_name(i), Fd(ends[0]), Fd(ends[1])});
  }
  for (const Line& line : desk->lines_) {
    TRY_ASSIGN(std::jthread thread, start_thread<std::jthread>(
                                        [&desk = *desk, fd = line.ours.get()] { desk.serve(fd); }));
    desk->threads_.push_back(std::move(thread));
  }
  return desk;
}

MemoryDesk::~MemoryDesk() {
  for (const Line& line : lines_) {
    ::shutdown(line.ours.get(), SHUT_RDWR);
  }
}

std::vector<sandbox::NamedFd> MemoryDesk::descriptors() const {
  std::vector<sandbox::NamedFd> fds{{"windows", file_.get()}};
  for (const Line& line : lines_) {
    fds.push_back({line.name, line.theirs.get()});
  }
  return fds;
}

Result<ImageSource> MemoryDesk::locate(const std::function<Result<ImageSource>()>& find) {
  const std::scoped_lock lock(mutex_);
  told_.clear();
  Result<ImageSource> source = find();
  if (source) {
    told_ = source->pieces;
  }
  return source;
}

Result<ImageSource> MemoryDesk::locate(std::span<const PhysRange> blocks) {
  return locate([&] { return blocks.empty() ? guest_.look() : guest_.locate(blocks); });
}

Result<> MemoryDesk::copy(const sandbox::CopyRoom& room, std::uint64_t entries) const {
  const std::shared_lock lock(mutex_);
  const acquire::GuestProcess* const process = guest_.process();
  if (process == nullptr) {
    return fail(Errc::malformed, "worker protocol: request to copy memory without a process");
  }
  return acquire::copy_for_worker(*process, told_, room, entries);
}

void MemoryDesk::serve(int line) const {
  while (answer(line)) {
  }
  ::shutdown(line, SHUT_RDWR);
}

Result<> MemoryDesk::answer(int line) const {
  TRY_ASSIGN(const auto asked, sandbox::receive_on<sandbox::CopyEntry>(line));
  std::uint64_t good = 0;
  {
    const std::shared_lock lock(mutex_);
    const acquire::GuestProcess* const process = guest_.process();
    if (process == nullptr) {
      return fail(Errc::malformed, "worker protocol: request to read memory without a process");
    }
    TRY_ASSIGN(good, acquire::read_for_worker(*process, told_, windows_, asked));
  }
  return sandbox::send_on(line, good);
}

}  // namespace vmcore::job
