#include "src/job/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "src/base/sys.h"

namespace vmcore::job {
namespace {

Result<> copy_to_stdout(int file, std::uint64_t size) {
  std::vector<std::byte> buffer(1U << 20);
  for (std::uint64_t done = 0; done < size;) {
    const auto want = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), size - done));
    TRY_ASSIGN(const std::size_t got, sys::pread_full(file, want, done));
    if (got == 0) {
      return fail(Errc::truncated, "standard output: the staged dump ended early");
    }
    if (Result<> written = sys::write_full(STDOUT_FILENO, want.first(got)); !written) {
      return in_context(std::move(written).error(), "standard output");
    }
    done += got;
  }
  return {};
}

}  // namespace

std::filesystem::path temporary_folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/var/tmp";
}

Result<Output> Output::open(const std::filesystem::path& target, bool replace, bool bypass_cache) {
  Output output(bypass_cache);
  if (target != "-") {
    TRY_ASSIGN(auto file, store::StagedFile::create(target, replace));
    output.file_.emplace(std::move(file));
    return output;
  }
  if (::isatty(STDOUT_FILENO) != 0) {
    return fail(Errc::invalid, "standard output is a terminal: a dump does not go there");
  }
  TRY_ASSIGN(output.unnamed_, store::create_unlinked(temporary_folder()));
  return output;
}

// Pages can be dropped once they are on the disk: these begin to go there, and those of the last
// call are dropped.
void Output::write_back() const {
  if (bypass_cache_) {
    static_cast<void>(::posix_fadvise(fd(), 0, 0, POSIX_FADV_DONTNEED));
    static_cast<void>(::sync_file_range(fd(), 0, 0, SYNC_FILE_RANGE_WRITE));
  }
}

Result<> Output::keep(DumpResult& result) {
  TRY_ASSIGN(result.size_bytes, sys::file_size(fd()));
  if (!file_) {
    return copy_to_stdout(fd(), result.size_bytes);
  }
  TRY_ASSIGN(result.path,
             result.done.incomplete ? file_->commit_aside(".incomplete") : file_->commit());
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
