// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "src/base/sys.h"
#include "src/cli/audit_trail.h"
#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/seal/sha256.h"
#include "src/staging/staged_folder.h"
#include "src/vault/entry.h"

namespace vmcore::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  StoreChoice store;
  std::string crash;
  std::string folder;
};

Result<Fd> copy_file(int from, int to, const std::string& name) {
  const Fd source(::openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!source) {
    return fail_errno(errno, name);
  }
  Fd copy(::openat(to, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!copy) {
    return fail_errno(errno, name);
  }
  std::vector<std::byte> buffer(1U << 20);
  for (;;) {
    TRY_ASSIGN(const std::size_t got, sys::read_full(source.get(), buffer));
    TRY(sys::write_full(copy.get(), std::span(buffer).first(got)));
    if (got < buffer.size()) {
      return copy;
    }
  }
}

// Copies all files, and compares them with the manifest. Fails if one of them differs from it.
Result<> copy_checked(const vault::OpenCrash& crash, int to) {
  for (const report::StoredFile& file : crash.crash.manifest->files) {
    TRY_ASSIGN(const Fd copy, copy_file(crash.folder.get(), to, file.name));
    TRY_ASSIGN(const std::string sum, seal::sha256_of(copy.get()));
    if (sum != file.sha256) {
      return fail(Errc::malformed, "{} has another checksum than when it was stored", file.name);
    }
  }
  TRY(copy_file(crash.folder.get(), to, vault::kManifestName));
  return {};
}

Result<std::string> copy_out(const vault::OpenCrash& crash, const Options& options) {
  if (!crash.crash.damage.empty()) {
    return fail(Errc::malformed, "{}: {}", crash.crash.id, crash.crash.damage);
  }
  fs::path target = fs::path(options.folder.empty() ? crash.crash.id : options.folder);
  target = target.has_filename() ? target : target.parent_path();
  const fs::path parent = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const std::string name = target.filename();
  TRY_ASSIGN(const Fd folder, staging::open_folder_at(AT_FDCWD, parent, "."));
  struct stat status {};
  if (::fstatat(folder.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    return fail(Errc::exists, "{} already exists: give the name of a new folder", target.string());
  }
  TRY_ASSIGN(
      staging::StagedFolder copy,
      staging::StagedFolder::create(
          folder.get(), fmt::format(".vmcorectl-{}-{}", crash.crash.id, ::getpid()), parent));
  if (Result<> copied = copy_checked(crash, copy.fd()); !copied) {
    return in_context(std::move(copied).error(), crash.crash.id);
  }
  TRY(copy.commit(name, 0700));
  return target.string();
}

Result<std::string> export_crash(const Options& options) {
  TRY_ASSIGN(const vault::OpenCrash crash, open_crash(options.store, options.crash));
  auto copied = copy_out(crash, options);
  audit_stored(audit::Deed::take_out, crash.crash,
               copied ? Result<>() : tl::unexpected(copied.error()), {},
               copied ? fs::absolute(*copied).native() : "");
  return copied;
}

}  // namespace

Run add_export(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("ID", options->crash, "A stored crash: its ID, or -1 for the newest")
      ->required();
  command.add_option("FOLDER", options->folder,
                     "The folder to make; default: named after the crash, in the current folder");
  add_store_option(command, options->store);
  return [options, &common] {
    const auto exported = export_crash(*options);
    if (!exported) {
      return report_error(exported.error(), common);
    }
    common.kept = true;
    if (!common.quiet) {
      fmt::print("exported to {}\n", printable(*exported));
    }
    return int{kExitDone};
  };
}

}  // namespace vmcore::cli
