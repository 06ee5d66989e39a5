// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/stream_reading.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "src/base/pipe.h"
#include "src/job/dump_name.h"
#include "src/job/run_worker.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

// The worker holds three bits a page: 384 MiB for this much memory.
constexpr std::uint64_t kMostMemory = 4ULL << 40;
// Memory of firmware and devices, which a domain's definition does not count.
constexpr std::uint64_t kBesideMemory = 128U << 20;

// The resolved path; a folder or nothing if the file is named after the guest.
fs::path output_of(const ReceiveOptions& options) {
  return options.output.has_filename() ? resolved_output(options.output) : options.output;
}

fs::path spool_folder(const ReceiveOptions& options) {
  return options.spool.empty() ? folder_beside(output_of(options)) : options.spool;
}

std::uint64_t milliseconds_of(std::chrono::seconds time) {
  return static_cast<std::uint64_t>(milliseconds(time).count());
}

Result<sandbox::StreamTerms> terms_of(const ReceiveOptions& options, const ReadLine& line) {
  TRY_ASSIGN(const std::uint64_t room, staging::free_space(spool_folder(options)));
  // If spool and dump are in one folder, the dump needs room there, too.
  const std::uint64_t fits = options.spool.empty() ? room / 2 : room;
  const std::optional<std::uint64_t> known = options.memory ? options.memory : line.memory;
  return sandbox::StreamTerms{
      .most_ram = known ? std::min(*known + kBesideMemory, kMaxPhysAddr) : kMostMemory,
      .most_kept = std::min(fits, options.most.value_or(fits)),
      .wait_ms = static_cast<std::uint64_t>(line.patience.count()),
      .idle_ms = milliseconds_of(options.idle),
      .deadline_ms = milliseconds_of(options.deadline)};
}

}  // namespace

Result<StreamFiles> open_stream_files(const ReceiveOptions& options, const std::string& name) {
  const std::string own = dump_name(name, std::chrono::system_clock::now());
  fs::path output = output_of(options);
  if (!output.has_filename()) {
    output /= own;
  }
  StreamFiles files;
  if (!options.dump.how.dry_run) {
    TRY_ASSIGN(auto opened, Output::open(output, options.dump.force, options.dump.bypass_cache));
    files.output.emplace(std::move(opened));
  }
  const fs::path beside = is_stream(output) ? fs::path(own) : output;
  TRY_ASSIGN(auto log, staging::StagedFile::create(beside.string() + ".dmesg", options.dump.force));
  files.log.emplace(std::move(log));
  TRY_ASSIGN(files.spool, staging::create_unlinked(spool_folder(options)));
  return files;
}

Result<StreamReading> begin_reading(const ReceiveOptions& options, ReadLine line, StreamFiles files,
                                    int key) {
  TRY_ASSIGN(const sandbox::StreamTerms terms, terms_of(options, line));
  sandbox::Request request{
      .input = sandbox::GuestStreamInput{terms},
      .how = options.dump.how,
      .capture = Capture{.method = "guest", .consistency = "stopped", .crash = line.crash}};
  TRY_ASSIGN(Pipe hangup, make_pipe());
  std::vector<sandbox::NamedFd> descriptors{{"source", line.line.get()},
                                            {"spool", files.spool.get()},
                                            {"log", files.log->fd()},
                                            {"hangup", hangup.out.get()}};
  if (key >= 0) {
    descriptors.push_back({"key", key});
  }
  if (files.output) {
    descriptors.push_back({"output", files.output->fd()});
  }
  TRY_ASSIGN(sandbox::Worker worker, start_worker());
  TRY(worker.request(std::move(request), descriptors));
  return StreamReading{.name = std::move(line.name),
                       .crash = std::move(line.crash),
                       .line = std::move(line.line),
                       .files = std::move(files),
                       .hangup = std::move(hangup.in),
                       .worker = std::move(worker)};
}

}  // namespace vmcore::job
