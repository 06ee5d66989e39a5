// SPDX-License-Identifier: GPL-2.0-or-later
// Manifest: what a stored crash (src/vault) is, as its manifest.json (docs/schema/manifest.json)
// has it. It is written once, when the crash is committed; what may change afterwards is in
// CrashState, a file of its own. A group may read both, so neither has a line of the guest's log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/result.h"
#include "src/image/capture.h"
#include "src/report/info.h"
#include "src/report/self_check.h"
#include "src/report/signature.h"
#include "src/report/triage.h"

namespace vmcore::report {

// A file beside the manifest.
struct StoredFile {
  std::string name = {};    // without a slash
  std::uint64_t size = 0;   // bytes
  std::string sha256 = {};  // hex
  bool operator==(const StoredFile&) const = default;
};

// What is in the dump.
struct StoredDump {
  std::string file = {};    // its name among the files
  std::string format = {};  // for people
  std::string release = {};
  std::string build_id = {};
  unsigned level_asked = 0;
  unsigned level_reached = 0;
  std::uint64_t ram_pages = 0;
  std::uint64_t pages_in_file = 0;
  std::uint64_t pages_excluded = 0;
  std::vector<std::pair<std::string, std::uint64_t>> pages_by_class = {};
  bool incomplete = false;
  bool operator==(const StoredDump&) const = default;
};

struct Manifest {
  static constexpr std::string_view kSchema = "vmcorectl-manifest/1";

  std::string id = {};       // empty until it is committed
  std::uint64_t number = 0;  // of its store: rises with each crash, whatever the clock does
  std::uint64_t time = 0;    // of the host's clock when it was begun, seconds since the epoch
  std::string reason = {};   // "panic", "hang", "request" (nobody says that it crashed) ...
  // Who says so: "event" (QEMU), "memory" (its kernel's own state), "ordered", "claim" (the guest
  // alone), or nothing.
  std::string witness = {};
  // Of whom and how; its cost has the times.
  Capture capture = {};
  CrashSignature signature = {};
  // The QMP socket of a guest that was reached by it: what tells guests of one name apart.
  std::string from = {};
  std::string tool = {};                // "vmcorectl 1.0"
  std::optional<StoredDump> dump = {};  // nothing where no memory was kept
  std::string memory_left_out = {};     // why none was dumped, on purpose: "it repeats ..."
  std::vector<StoredFile> files = {};
  bool complete = false;  // all that was wanted is there
  bool verified = false;  // our own reader opened the dump after it was synced
  // All memory that was wanted was read: from then on its guest may have been carried on.
  bool memory_read = false;
  // From the crash: until the flash report was kept, until the dump was.
  std::optional<std::uint64_t> to_flash_us = {};
  std::optional<std::uint64_t> to_dump_us = {};
  std::optional<SelfCheck> self_check = {};  // that came after it was kept
  std::vector<Remark> remarks = {};
};

// Takes what the dump says of itself: its contents, the kernel, how and of whom it was captured,
// why. What the dump does not know stays. `file`: its name in the store.
void describe(Manifest& manifest, const InfoReport& info, const std::string& file);

// Takes what its report says of it, where the manifest does not know it yet: the signature, and
// that the guest crashed.
void describe(Manifest& manifest, const TriageReport& report);

std::string to_json(const Manifest& manifest);
// Errc::malformed where the text is no such document, or says what cannot be.
Result<Manifest> manifest_from_json(std::string_view text);

// What was done with the guest by its policy.
struct PolicyOutcome {
  std::string action = {};  // "restart", "reset" ...
  bool done = false;
  std::string error = {};  // why not
  std::string why = {};    // that action, where it was not the owner's wish
  std::optional<std::uint64_t> to_running_us = {};  // from the crash
};

// What may change of a stored crash.
struct CrashState {
  static constexpr std::string_view kSchema = "vmcorectl-state/1";

  bool held = false;  // never removed
  std::optional<PolicyOutcome> policy = {};
};

std::string to_json(const CrashState& state);
Result<CrashState> state_from_json(std::string_view text);

// A crash as lists have it.
struct ListedCrash {
  std::string id = {};
  std::uint64_t bytes = 0;                // that it takes in the store
  std::optional<Manifest> manifest = {};  // nothing where it is damaged
  CrashState state = {};
  std::string damage = {};  // what is wrong with it; empty: nothing
};

// What `vmcorectl list --output json` prints (docs/schema/list.json).
struct CrashList {
  static constexpr std::string_view kSchema = "vmcorectl-list/1";

  std::string store = {};  // its path
  std::vector<ListedCrash> crashes = {};
};

std::string to_json(const CrashList& list);

// What `vmcorectl info --output json` prints of a stored crash (docs/schema/crash.json). `info`:
// what its dump says, where it has one that can be read.
inline constexpr std::string_view kCrashSchema = "vmcorectl-crash/1";
std::string to_json(const ListedCrash& crash, const std::optional<InfoReport>& info);

}  // namespace vmcore::report
