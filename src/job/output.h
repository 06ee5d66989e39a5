// SPDX-License-Identifier: GPL-2.0-or-later
// Output: the target of a job's dump: a file that is named only when complete, or a stream:
// standard output, a FIFO, a descriptor.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/job/convert_job.h"
#include "src/staging/staged_file.h"

namespace vmcore::job {

class Output {
 public:
  // `target` "-" is standard output; else the file that it leads to (staging/destination.h).
  // `bypass_cache`: written data do not stay in the page cache.
  static Result<Output> open(const std::filesystem::path& target, bool replace, bool bypass_cache);

  // What the worker writes to. Borrowed.
  int fd() const { return file_ ? file_->fd() : unnamed_.get(); }

  // Called now and then while it is written.
  void write_back() const;
  // Keeps the written data, and records their place and size in `result`.
  Result<> keep(DumpResult& result);

 private:
  explicit Output(bool bypass_cache) : bypass_cache_(bypass_cache) {}
  bool bypass_cache_;
  std::optional<staging::StagedFile> file_;
  // For a stream: where the dump is staged, and the descriptor to which it is copied.
  Fd unnamed_;
  Fd stream_;
  std::string stream_name_;
};

// The path as the rest of a job expects it, with the links resolved as far as they exist: "-" for
// standard output under any name.
std::filesystem::path resolved_output(const std::filesystem::path& target);
// The same, but the target may be a folder: then the path ends with a slash, and the caller adds a
// name made of the guest's.
std::filesystem::path dump_target(const std::filesystem::path& target);
// Whether the target is a stream, which accepts one dump, and not a file.
bool is_stream(const std::filesystem::path& output);
// The folder for the files beside that output while it is made.
std::filesystem::path folder_beside(const std::filesystem::path& output);

// What is told of the progress, and an output that is written meanwhile, where there is one. Both
// are borrowed.
OnProgress writing_back(const OnProgress& on_progress, const std::optional<Output>& output);

// The folder for what has no folder of its own: $TMPDIR, else /var/tmp (dumps are too large for a
// /tmp in memory).
std::filesystem::path temporary_folder();

}  // namespace vmcore::job
