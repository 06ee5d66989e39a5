// The ways to a guest's memory, in one visible table (method.cc).
//
// To add one: a source pair with a Guest of its own, a row in kMethods, a test, a section in
// docs/man/vmcorectl.1.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/acquire/guest.h"

namespace vmcore::acquire {

// How a domain is looked up: by whatever fits, or by one thing only.
enum class LookUp : std::uint8_t { any, id, name };

// Takes the first method of the table that fits and can be used.
inline constexpr std::string_view kAutoMethod = "auto";

// Which guest, as the user said it.
struct Selection {
  std::string method = std::string(kAutoMethod);  // that, or a name of the table
  std::string tried = {};             // auto goes on behind this one, which came to nothing
  std::filesystem::path socket = {};  // of a QMP monitor
  std::string uri = {};               // of libvirt; empty: libvirt's own default
  std::string domain = {};
  LookUp look_up = LookUp::any;
  // The URI by which whoever reads our messages reaches this libvirt (--remote); empty: `uri`.
  std::string asked_as = {};
  // Monitor commands that mark a libvirt domain as tainted may be used.
  bool allow_taint = false;
  // A running guest may be held in a way that nobody can end early (libvirt's dump into a file).
  bool allow_unbounded_pause = false;
  // A folder with room for the guest's RAM, for methods that cannot do without.
  std::filesystem::path spool_folder = {};
};

struct OpenedGuest {
  std::unique_ptr<Guest> guest;
  std::string method;           // that was taken
  std::vector<Remark> remarks;  // why those before it were not, and what it did to the guest
};
Result<OpenedGuest> open_guest(const Selection& selection);

// For a snapshot of a running guest, which has a way of its own beside the table.
inline constexpr const char* kSnapshotMethod = "snapshot";
Result<OpenedGuest> open_for_snapshot(const Selection& selection);

// Whether another method may do without what is missing: what this user or this host does not
// allow. Anything else would go wrong the next time as well.
bool another_may_do(const Error& error);
// Whether auto has a method to go on with behind that one.
bool has_next(const Selection& selection, const std::string& method);
// That a method was passed over, and why.
Remark passed_over(const std::string& method, const Error& why);

// With kAutoMethod.
std::vector<std::string> method_names();
// Those for which what was said is enough, the best first.
std::vector<std::string> methods_for(const Selection& selection);

}  // namespace vmcore::acquire
