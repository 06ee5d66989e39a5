// SPDX-License-Identifier: GPL-2.0-or-later
// Draft: the folder of a crash while it is written. It is listed only when it is committed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/report/manifest.h"
#include "src/staging/staged_folder.h"

namespace vmcore::vault {

// Drafts begin with it, and so nothing that was begun is ever listed.
inline constexpr std::string_view kDraftPrefix = ".new-";
// The file in a draft whose size is the estimate of the dump. It has no blocks.
inline constexpr const char* kRoomName = ".room";

// Opens the dump in the folder of that path with our own reader, and takes what it says into the
// manifest. An Error: it cannot be opened. A folder without a dump is nothing to complain about.
using Describe = std::function<Result<>(report::Manifest& manifest, const std::string& folder)>;

// What was committed.
struct KeptCrash {
  std::string id;
  std::string path;  // of its folder
  report::Manifest manifest;
  std::optional<Remark> doubt = {};  // its name may not survive a power cut
};

// Holds the draft's lock. Its files go with it unless it is committed.
class Draft {
 public:
  // `store` is borrowed, and outlives the draft. The store's lock is held by the caller.
  static Result<Draft> create(int store, const std::string& where);
  // One that nobody writes any more: Errc::busy where somebody does.
  static Result<Draft> adopt(int store, const std::string& where, const std::string& name);

  int folder() const { return folder_.fd(); }  // borrowed
  std::string path() const { return folder_.path(); }

  // A dump of about so many bytes will be written into it.
  Result<> expect(std::uint64_t estimate);
  // Writes a small file as a whole. Where the disk is full, it takes the room that was held back
  // for it. It survives the end of this program; a power cut, only after checkpoint() or commit().
  Result<> write(const std::string& name, std::string_view text, mode_t mode = 0600);

  // The manifest so far: where this program ends here, the next Vault::recover() commits it with
  // the files.
  Result<> note(const report::Manifest& manifest);
  // The same, and syncs all that is in the folder. Call it as soon as something is worth it.
  Result<> checkpoint(const report::Manifest& manifest);
  // Syncs the files, lets `describe` open the dump, writes the manifest with its ID, number and
  // checksums, and gives the folder its name. A dump that cannot be opened is kept, and the
  // manifest says so (`verified`, a Remark). On an Error the draft stays as it is, for recover(),
  // and the message says where.
  Result<KeptCrash> commit(report::Manifest manifest, const Describe& describe);

 private:
  Draft(int store, std::string where, staging::StagedFolder folder, Fd lock)
      : store_(store),
        where_(std::move(where)),
        lock_(std::move(lock)),
        folder_(std::move(folder)) {}
  static Result<Draft> try_create(int store, const std::string& where);
  Result<KeptCrash> try_commit(report::Manifest manifest, const Describe& describe);

  int store_;
  std::string where_;
  Fd lock_;  // given back after the folder is gone
  staging::StagedFolder folder_;
};

// What is promised to the draft and is not in it yet, in bytes.
std::uint64_t promised_to(int draft_folder);

}  // namespace vmcore::vault
