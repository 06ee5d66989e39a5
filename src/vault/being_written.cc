// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/being_written.h"

#include <fcntl.h>

#include <string>

#include "src/base/fd.h"
#include "src/staging/staged_folder.h"
#include "src/vault/draft.h"
#include "src/vault/entry.h"
#include "src/vault/lock.h"

namespace vmcore::vault {
namespace {

bool is_locked(int draft) {
  const auto lock = lock_folder(draft, Hold::alone_now, false);
  return !lock && lock.error().code == Errc::busy;
}

}  // namespace

std::vector<report::Manifest> being_written(const std::filesystem::path& store) {
  std::vector<report::Manifest> found;
  const auto folder = staging::open_folder_at(AT_FDCWD, store.string(), ".");
  const auto names = folder ? staging::names_in(folder->get(), store.string())
                            : Result<std::vector<std::string>>(std::vector<std::string>());
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    const auto draft = name.starts_with(kDraftPrefix)
                           ? staging::open_folder_at(folder->get(), name, store.string())
                           : fail(Errc::not_found, "no draft");
    const auto manifest = draft && is_locked(draft->get())
                              ? read_manifest(draft->get())
                              : fail(Errc::not_found, "nobody writes it");
    if (manifest) {
      found.push_back(*manifest);
    }
  }
  return found;
}

}  // namespace vmcore::vault
