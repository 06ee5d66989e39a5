// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/entry.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "src/base/fd.h"
#include "src/base/whole_file.h"
#include "src/seal/sha256.h"
#include "src/staging/staged_folder.h"
#include "src/vault/lock.h"

namespace vmcore::vault {
namespace {

constexpr std::size_t kMostOfADocument = 1U << 20;
constexpr std::uint64_t kBlock = 512;  // stat(2)'s st_blocks

Result<std::string> read_document(int folder, const char* name) {
  const Fd file(::openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) {
    return fail_errno(errno, name);
  }
  return read_all(file.get(), name, kMostOfADocument);
}

// What the manifest says of its folder and is not so; empty: nothing.
std::string contradiction(int folder, const std::string& id, const report::Manifest& manifest) {
  if (manifest.id != id) {
    return "its manifest is that of another crash";
  }
  for (const report::StoredFile& file : manifest.files) {
    struct stat status {};
    if (::fstatat(folder, file.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode)) {
      return fmt::format("its file {} is missing", file.name);
    }
    if (static_cast<std::uint64_t>(status.st_size) != file.size) {
      return fmt::format("its file {} has {} bytes, and had {}", file.name, status.st_size,
                         file.size);
    }
  }
  return {};
}

void read_state(int folder, report::ListedCrash& crash) {
  const auto text = read_document(folder, kStateName);
  if (!text && text.error().code == Errc::not_found) {
    return;
  }
  auto state = text ? report::state_from_json(*text) : tl::unexpected(text.error());
  if (state) {
    crash.state = *std::move(state);
    return;
  }
  crash.state.held = true;
  crash.damage = fmt::format("{}: {}", kStateName, state.error().message);
}

}  // namespace

Result<report::Manifest> read_manifest(int folder) {
  TRY_ASSIGN(const std::string text, read_document(folder, kManifestName));
  auto manifest = report::manifest_from_json(text);
  if (!manifest) {
    return in_context(std::move(manifest).error(), kManifestName);
  }
  return manifest;
}

std::uint64_t bytes_in(int folder) {
  std::uint64_t bytes = 0;
  const auto names = staging::names_in(folder, "");
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    struct stat status {};
    if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      bytes += static_cast<std::uint64_t>(status.st_blocks) * kBlock;
    }
  }
  return bytes;
}

report::ListedCrash read_entry(int store, const std::string& id) {
  report::ListedCrash crash{.id = id};
  const auto folder = staging::open_folder_at(store, id, "the store");
  if (!folder) {
    crash.damage = folder.error().message;
    return crash;
  }
  crash.bytes = bytes_in(folder->get());
  read_state(folder->get(), crash);
  auto manifest = read_manifest(folder->get());
  if (!manifest) {
    crash.damage = std::move(manifest).error().message;
    return crash;
  }
  if (std::string wrong = contradiction(folder->get(), id, *manifest); !wrong.empty()) {
    crash.damage = std::move(wrong);
  }
  crash.manifest = *std::move(manifest);
  return crash;
}

Result<std::vector<report::StoredFile>> files_of(int folder, const std::string& where) {
  TRY_ASSIGN(std::vector<std::string> names, staging::names_in(folder, where));
  std::ranges::sort(names);
  std::vector<report::StoredFile> files;
  for (const std::string& name : names) {
    if (name.front() == '.' || name == kManifestName || name == kStateName || name == kLockName) {
      continue;
    }
    const std::string path = where + "/" + name;
    const Fd file(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0) {
      return fail_errno(errno, path);
    }
    if (!S_ISREG(status.st_mode)) {
      return fail(Errc::malformed, "{} is not a regular file", path);
    }
    auto sum = seal::sha256_of(file.get());
    if (!sum) {
      return in_context(std::move(sum).error(), path);
    }
    files.push_back({name, static_cast<std::uint64_t>(status.st_size), *std::move(sum)});
  }
  return files;
}

}  // namespace vmcore::vault
