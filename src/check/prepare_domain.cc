// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/prepare_domain.h"

#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <span>

#include "src/acquire/commands.h"
#include "src/acquire/libvirt/definition.h"
#include "src/acquire/libvirt/setup.h"
#include "src/base/runtime_folder.h"
#include "src/base/sys.h"
#include "src/base/unified_diff.h"
#include "src/base/utc.h"
#include "src/job/dump_name.h"
#include "src/staging/staged_file.h"

namespace vmcore::check {
namespace {

namespace fs = std::filesystem;

Result<fs::path> state_folder() {
  if (::geteuid() == 0) {
    return "/var/backups";
  }
  const char* const state = std::getenv("XDG_STATE_HOME");
  const char* const home = std::getenv("HOME");
  if (state != nullptr && *state == '/') {
    return fs::path(state) / "vmcorectl";
  }
  if (home == nullptr || *home != '/') {
    return fail(Errc::not_found,
                "no folder for the old definition: HOME is not set, give --folder");
  }
  return fs::path(home) / ".local/state/vmcorectl";
}

// Never over an existing file.
Result<fs::path> save(const fs::path& path, const std::string& text) {
  TRY_ASSIGN(auto file, staging::StagedFile::create(path, true));
  if (Result<> written = sys::write_full(file.fd(), std::as_bytes(std::span(text))); !written) {
    return in_context(std::move(written).error(), path.string());
  }
  TRY_ASSIGN(staging::Kept kept, file.commit_aside(".xml"));
  if (kept.doubt) {  // it goes before the definition is changed
    std::error_code ignored;
    fs::remove(kept.path, ignored);
    return fail(kept.doubt->code, "the old definition cannot be saved: {}; nothing was changed",
                kept.doubt->text);
  }
  return std::move(kept.path);
}

// libvirt may have taken the new definition all the same, its answer being lost.
tl::unexpected<Error> undone(const acquire::Selection& domain,
                             const acquire::PersistentDefinition& before, const fs::path& saved,
                             const Error& why) {
  const auto now = acquire::persistent_definition(domain);
  if (now && now->whole == before.whole) {
    std::error_code ignored;
    fs::remove(saved, ignored);
    return tl::unexpected(why);
  }
  return fail(why.code, "{}; the definition may have been changed, the old one is saved in {}",
              why.message, saved.string());
}

}  // namespace

Result<fs::path> make_backup_folder() {
  TRY_ASSIGN(const fs::path state, state_folder());
  std::error_code error;
  fs::create_directories(state, error);
  if (error) {
    return fail_errno(error.value(), state.string());
  }
  const fs::path folder = state / (::geteuid() == 0 ? "vmcorectl" : "definitions");
  TRY(make_private(folder));
  return folder;
}

Result<PreparedDomain> prepare_domain(const acquire::Selection& domain, const fs::path& folder,
                                      bool dry_run) {
  TRY_ASSIGN(const acquire::PersistentDefinition definition,
             acquire::persistent_definition(domain));
  PreparedDomain prepared{.guest = definition.name,
                          .stop = acquire::virsh_command(domain, "shutdown", definition.handle),
                          .start = acquire::virsh_command(domain, "start", definition.handle),
                          .diff = {},
                          .saved = {},
                          .running = definition.running};
  const std::string name = job::file_name(definition.name);
  TRY_ASSIGN(const acquire::DefinitionEdit shown, acquire::prepare_definition(definition.shown));
  prepared.diff = unified_diff(name + ".xml", shown.before, shown.after);
  if (dry_run || prepared.diff.empty()) {
    return prepared;
  }
  TRY_ASSIGN(const acquire::DefinitionEdit whole, acquire::prepare_definition(definition.whole));
  TRY_ASSIGN(const fs::path place,
             folder.empty() ? make_backup_folder() : Result<fs::path>(folder));
  const std::string time = utc_stamp(std::time(nullptr));
  TRY_ASSIGN(prepared.saved, save(place / fmt::format("{}-{}", name, time), definition.whole));
  const auto replaced = acquire::replace_definition(domain, definition.whole, whole.after);
  if (!replaced) {
    return undone(domain, definition, prepared.saved, replaced.error());
  }
  return prepared;
}

}  // namespace vmcore::check
