// Output: where a job's dump goes: a file that is named only when complete, or standard output.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/job/convert_job.h"
#include "src/store/staged_file.h"

namespace vmcore::job {

class Output {
 public:
  // `target` "-" is standard output.
  static Result<Output> open(const std::filesystem::path& target, bool replace);

  // What the worker writes to. Borrowed.
  int fd() const { return file_ ? file_->fd() : unnamed_.get(); }

  // Keeps what was written, and says in `result` where and how much.
  Result<> keep(DumpResult& result);

 private:
  Output() = default;
  std::optional<store::StagedFile> file_;
  Fd unnamed_;  // instead of it, for standard output
};

// The folder for what has no folder of its own: $TMPDIR, else /var/tmp (dumps are too large for a
// /tmp in memory).
std::filesystem::path temporary_folder();

}  // namespace vmcore::job
