// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/read_job.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <utility>

#include "src/base/sys.h"
#include "src/job/look_live.h"
#include "src/job/memory_desk.h"
#include "src/job/place_cache.h"

namespace vmcore::job {
namespace {

// A pipe may bring a log as well.
Result<Fd> open_log(const std::filesystem::path& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) {
    return fail_errno(errno, path.string());
  }
  struct stat status {};
  if (::fstat(file.get(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return fail(Errc::invalid, "{} is a folder, not a log", path.string());
  }
  return file;
}

}  // namespace

Result<TextResult> read_text(sandbox::Worker& worker, sandbox::Request request,
                             std::vector<sandbox::NamedFd> descriptors,
                             const WorkerCallbacks& callbacks) {
  TRY_ASSIGN(const Fd text, make_memory_file("text"));
  descriptors.push_back({"output", text.get()});
  const bool is_log = request.operation == sandbox::Operation::dmesg ||
                      request.operation == sandbox::Operation::callers;
  const std::uint64_t most = is_log ? sandbox::kMaxOutputText : sandbox::kMaxDocument;
  TRY(worker.request(std::move(request), descriptors));
  TRY_ASSIGN(sandbox::Done done, follow_worker(worker, callbacks));
  TextResult result{.name = {},
                    .uuid = {},
                    .summary = std::move(done.summary),
                    .place = std::move(done.place),
                    .text = {}};
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(text.get()));
  if (size > most) {
    return fail(Errc::limit, "more than {} MiB of text", most >> 20);
  }
  result.text.resize(size);
  TRY(sys::pread_full(text.get(), std::as_writable_bytes(std::span(result.text)), 0));
  return result;
}

Result<TextResult> read_text(sandbox::Request request, std::vector<sandbox::NamedFd> descriptors,
                             const WorkerCallbacks& callbacks) {
  TRY_ASSIGN(sandbox::Worker worker, start_worker());
  return read_text(worker, std::move(request), std::move(descriptors), callbacks);
}

Result<Fd> open_dump_file(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a FIFO must not wait for somebody to write to it.
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) {
    return fail_errno(errno, path.string());
  }
  struct stat status {};
  if (::fstat(file.get(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return fail(Errc::invalid, "{} is a folder, not a dump file", path.string());
  }
  if (!sys::file_size(file.get())) {
    return fail(Errc::invalid, "{} is a pipe, socket or terminal: save the dump into a file first",
                path.string());
  }
  return file;
}

Result<TextResult> read_file(const std::filesystem::path& input, sandbox::Operation operation,
                             unsigned threads) {
  TRY_ASSIGN(const Fd in, open_dump_file(input));
  auto result =
      read_text({.operation = operation, .how = {.threads = threads}}, {{"source", in.get()}}, {});
  if (!result) {
    return in_context(std::move(result).error(), input.string());
  }
  result->name = input.filename().string();
  return result;
}

Result<TextResult> read_log(const std::filesystem::path& input) {
  const bool standard = input == "-";
  TRY_ASSIGN(const Fd in, standard ? duplicate(STDIN_FILENO) : open_log(input));
  auto result = read_text({.operation = sandbox::Operation::log}, {{"source", in.get()}}, {});
  if (!result) {
    return in_context(std::move(result).error(), standard ? "standard input" : input.string());
  }
  result->name = standard ? "standard input" : input.filename().string();
  return result;
}

namespace {

Result<acquire::OpenedGuest> open_directly(acquire::Selection selection) {
  selection.method = acquire::Method::direct;
  return acquire::open_guest(selection);
}

Result<sandbox::Request> request_to_read(acquire::Guest& guest, sandbox::Operation operation,
                                         unsigned threads) {
  TRY_ASSIGN(const acquire::GuestState state, guest.state());
  TRY_ASSIGN(const std::uint64_t ram, guest.memory_size());
  return sandbox::Request{.operation = operation,
                          .input = sandbox::LiveInput{.torn = state.running},
                          .ram = ram,
                          .how = {.threads = threads},
                          .hint = recall_place(guest)};
}

// Of the guest as it is now.
Result<TextResult> read_live(acquire::Guest& guest, const sandbox::Request& request) {
  TRY_ASSIGN(const auto desk, MemoryDesk::open(guest, request.how.threads));
  return read_text(request, desk->descriptors(), {.locate = [&](std::span<const PhysRange>) {
                     return desk->locate([&] { return look_live(guest); });
                   }});
}

}  // namespace

Result<TextResult> read_guest_later(const acquire::Selection& selection,
                                    sandbox::Operation operation, unsigned threads,
                                    const std::function<Result<>()>& await) {
  TRY_ASSIGN(const acquire::OpenedGuest opened, open_directly(selection));
  acquire::Guest& guest = *opened.guest;
  TRY_ASSIGN(sandbox::Request request, request_to_read(guest, operation, threads));
  // Finds the kernel; one that is not there yet is searched for again.
  if (const auto now = read_live(guest, request)) {
    remember_place(guest, now->place);
    request.hint = now->place;
  }
  TRY_ASSIGN(const auto desk, MemoryDesk::open(guest, threads));
  TRY_ASSIGN(ImageSource source, guest.look());
  TRY_ASSIGN(sandbox::Worker worker, start_worker());
  TRY(await());
  source.cpus = guest.registers().value_or(std::vector<CpuState>());
  request.input = sandbox::LiveInput{.torn = false};
  const auto locate = [&](std::span<const PhysRange>) {
    return desk->locate([&]() -> Result<ImageSource> { return std::move(source); });
  };
  auto result = read_text(worker, std::move(request), desk->descriptors(), {.locate = locate});
  return result ? std::move(result) : in_context(std::move(result).error(), guest.name());
}

Result<TextResult> read_guest(const acquire::Selection& selection, sandbox::Operation operation,
                              unsigned threads) {
  TRY_ASSIGN(const acquire::OpenedGuest opened, open_directly(selection));
  acquire::Guest& guest = *opened.guest;
  TRY_ASSIGN(const sandbox::Request request, request_to_read(guest, operation, threads));
  auto result = read_live(guest, request);
  if (!result) {
    return in_context(std::move(result).error(), guest.name());
  }
  result->name = guest.name();
  result->uuid = guest.identity().uuid;
  result->process = acquire::key_of(guest);
  const std::vector<Remark> taint = guest.remarks();
  result->summary.remarks.insert(result->summary.remarks.end(), taint.begin(), taint.end());
  remember_place(guest, result->place);
  return result;
}

}  // namespace vmcore::job
