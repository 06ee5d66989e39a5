#include "src/job/convert_job.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "src/base/fd.h"
#include "src/base/sys.h"
#include "src/job/output.h"
#include "src/job/run_worker.h"

namespace vmcore::job {
namespace {

Result<Fd> open_input(const std::filesystem::path& path) {
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
    return fail(Errc::invalid,
                "{} is no file (a pipe, socket or terminal): save the dump into a file first",
                path.string());
  }
  return file;
}

Result<> refuse_same_file(int input, const std::filesystem::path& input_path,
                          const std::filesystem::path& output) {
  struct stat in {};
  struct stat out {};
  const bool known =
      ::fstat(input, &in) == 0 &&
      (output == "-" ? ::fstat(STDOUT_FILENO, &out) : ::stat(output.c_str(), &out)) == 0;
  if (known && in.st_dev == out.st_dev && in.st_ino == out.st_ino) {
    return fail(Errc::invalid, "{} and {} are the same file", input_path.string(), output.string());
  }
  return {};
}

}  // namespace

Result<DumpResult> convert_file(const std::filesystem::path& input,
                                const std::filesystem::path& output, const DumpOptions& options,
                                const OnProgress& on_progress, int cancel) {
  TRY_ASSIGN(const Fd in, open_input(input));
  TRY(refuse_same_file(in.get(), input, output));
  std::optional<Output> out;
  std::vector<int> fds{in.get()};
  if (!options.dry_run) {
    TRY_ASSIGN(Output opened, Output::open(output, options.force));
    out.emplace(std::move(opened));
    fds.push_back(out->fd());
  }
  auto done = run_worker(make_request(options, sandbox::InputKind::file), fds,
                         {.on_progress = on_progress, .cancel = cancel});
  if (!done) {
    const bool full = done.error().code == Errc::no_space;  // what is read takes no room
    return in_context(std::move(done).error(), full ? output.string() : input.string());
  }
  DumpResult result{.done = *std::move(done), .path = {}, .size_bytes = 0};
  TRY(check_strict(options, result));
  if (out) {
    TRY(out->keep(result));
  }
  return result;
}

Result<TextResult> read_file(const std::filesystem::path& input, sandbox::Operation operation,
                             unsigned threads) {
  TRY_ASSIGN(const Fd in, open_input(input));
  const Fd text(::memfd_create("text", MFD_CLOEXEC));
  if (!text) {
    return fail_errno(errno, "memfd_create");
  }
  sandbox::Request request;
  request.operation = operation;
  request.threads = threads;
  const int fds[] = {in.get(), text.get()};
  auto done = run_worker(request, fds, {});
  if (!done) {
    return in_context(std::move(done).error(), input.string());
  }
  TextResult result{.done = *std::move(done), .text = {}};
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(text.get()));
  if (size > sandbox::kMaxOutputText) {
    return fail(Errc::limit, "{}: more than {} MiB of text", input.string(),
                sandbox::kMaxOutputText >> 20);
  }
  result.text.resize(size);
  TRY(sys::pread_full(text.get(), std::as_writable_bytes(std::span(result.text)), 0));
  return result;
}

}  // namespace vmcore::job
