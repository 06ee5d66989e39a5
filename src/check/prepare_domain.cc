// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/prepare_domain.h"

#include <span>

#include "src/acquire/commands.h"
#include "src/acquire/libvirt/definition.h"
#include "src/acquire/libvirt/setup.h"
#include "src/base/sys.h"
#include "src/base/unified_diff.h"
#include "src/job/dump_name.h"
#include "src/staging/staged_file.h"

namespace vmcore::check {
namespace {

namespace fs = std::filesystem;

Result<fs::path> save(const fs::path& path, const std::string& text) {
  auto file = staging::StagedFile::create(path, false);
  if (!file && file.error().code == Errc::exists) {
    return fail(Errc::exists, "{} already exists, from an earlier --fix: move it away",
                path.string());
  }
  if (!file) {
    return tl::unexpected(std::move(file).error());
  }
  TRY(sys::write_full(file->fd(), std::as_bytes(std::span(text))));
  TRY_ASSIGN(staging::Kept kept, file->commit());
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
  const std::string name = job::file_name(definition.name) + ".xml";
  TRY_ASSIGN(const acquire::DefinitionEdit shown, acquire::prepare_definition(definition.shown));
  prepared.diff = unified_diff(name, shown.before, shown.after);
  if (dry_run || prepared.diff.empty()) {
    return prepared;
  }
  TRY_ASSIGN(const acquire::DefinitionEdit whole, acquire::prepare_definition(definition.whole));
  TRY_ASSIGN(prepared.saved, save(folder / (name + ".before-vmcorectl"), definition.whole));
  const auto replaced = acquire::replace_definition(domain, definition.whole, whole.after);
  if (!replaced) {
    return undone(domain, definition, prepared.saved, replaced.error());
  }
  return prepared;
}

}  // namespace vmcore::check
