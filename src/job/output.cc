// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "src/base/sys.h"
#include "src/staging/destination.h"

namespace vmcore::job {
namespace {

Result<> copy(int file, std::uint64_t size, int stream) {
  std::vector<std::byte> buffer(1U << 20);
  for (std::uint64_t done = 0; done < size;) {
    const auto want = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), size - done));
    TRY_ASSIGN(const std::size_t got, sys::pread_full(file, want, done));
    if (got == 0) {
      return fail(Errc::truncated, "the staged dump ended early");
    }
    TRY(sys::write_full(stream, want.first(got)));
    done += got;
  }
  return sys::sync(stream);
}

}  // namespace

std::filesystem::path resolved_output(const std::filesystem::path& target) {
  if (target.empty() || target == "-") {
    return target;
  }
  if (staging::is_standard_output(target)) {
    return "-";
  }
  const auto found = staging::find_destination(target);
  return found ? found->path : target;
}

std::filesystem::path dump_target(const std::filesystem::path& target) {
  std::error_code ignored;
  const bool is_folder =
      !target.empty() && (!target.has_filename() || std::filesystem::is_directory(target, ignored));
  return is_folder ? target / "" : resolved_output(target);
}

bool is_stream(const std::filesystem::path& output) {
  if (output == "-") {
    return true;
  }
  const auto found = staging::find_destination(output);
  return found && found->kind != staging::Destination::Kind::file;
}

std::filesystem::path folder_beside(const std::filesystem::path& output) {
  if (is_stream(output)) {
    return temporary_folder();
  }
  return output.has_parent_path() ? output.parent_path() : std::filesystem::path(".");
}

std::filesystem::path temporary_folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/var/tmp";
}

Result<Output> Output::open(const std::filesystem::path& target, bool replace, bool bypass_cache) {
  Output output(bypass_cache);
  if (target == "-") {
    TRY_ASSIGN(output.stream_, duplicate(STDOUT_FILENO));
    output.stream_name_ = "standard output";
  } else {
    TRY_ASSIGN(staging::Destination found, staging::find_destination(target));
    if (found.kind == staging::Destination::Kind::file) {
      TRY_ASSIGN(auto file, staging::StagedFile::create(target, replace));
      output.file_.emplace(std::move(file));
      return output;
    }
    TRY_ASSIGN(output.stream_, staging::open_stream(std::move(found)));
    output.stream_name_ = target.string();
  }
  if (::isatty(output.stream_.get()) != 0) {
    return fail(Errc::invalid,
                "{} is a terminal: a dump is not written to a terminal, give -o FILE",
                output.stream_name_);
  }
  TRY_ASSIGN(output.unnamed_, staging::create_unlinked(temporary_folder()));
  return output;
}

// The page cache can drop pages that are on the disk. So this starts to write the new pages, and
// drops those of the last call.
void Output::write_back() const {
  if (bypass_cache_) {
    static_cast<void>(::posix_fadvise(fd(), 0, 0, POSIX_FADV_DONTNEED));
    static_cast<void>(::sync_file_range(fd(), 0, 0, SYNC_FILE_RANGE_WRITE));
  }
}

Result<> Output::keep(DumpResult& result) {
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(fd()));
  result.size_bytes = size;
  if (!file_) {
    Result<> copied = copy(fd(), size, stream_.get());
    return copied ? copied : in_context(std::move(copied).error(), stream_name_);
  }
  TRY_ASSIGN(staging::Kept kept,
             result.summary.incomplete ? file_->commit_aside(".incomplete") : file_->commit());
  result.path = std::move(kept.path);
  if (kept.doubt) {
    result.name_may_go = true;
    result.summary.remarks.push_back(*std::move(kept.doubt));
  }
  write_back();  // it is synced now
  return {};
}

OnProgress writing_back(const OnProgress& on_progress, const std::optional<Output>& output) {
  return [&](const sandbox::Event& event) {
    if (output) {
      output->write_back();
    }
    if (on_progress) {
      on_progress(event);
    }
  };
}

}  // namespace vmcore::job
