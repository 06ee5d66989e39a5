// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/convert_job.h"

#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "src/base/fd.h"
#include "src/job/output.h"
#include "src/job/read_job.h"
#include "src/job/run_worker.h"

namespace vmcore::job {
namespace {

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
  TRY_ASSIGN(const Fd in, open_dump_file(input));
  TRY(refuse_same_file(in.get(), input, output));
  std::optional<Output> out;
  std::vector<sandbox::NamedFd> fds{{"source", in.get()}};
  if (!options.how.dry_run) {
    TRY_ASSIGN(Output opened, Output::open(output, options.force, options.bypass_cache));
    out.emplace(std::move(opened));
    fds.push_back({"output", out->fd()});
  }
  auto done = run_worker({.how = options.how}, fds,
                         {.on_progress = writing_back(on_progress, out), .cancel = cancel});
  if (!done) {
    const bool full = done.error().code == Errc::no_space;  // what is read takes no room
    return in_context(std::move(done).error(), full ? output.string() : input.string());
  }
  DumpResult result{.summary = std::move(done->summary)};
  TRY(check_strict(options, result));
  if (out) {
    TRY(out->keep(result));
  }
  return result;
}

}  // namespace vmcore::job
