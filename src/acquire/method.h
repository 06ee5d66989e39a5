// SPDX-License-Identifier: GPL-2.0-or-later
// The ways to a guest's memory, in one visible table (method.cc).
//
// To add one: a source pair with a Guest of its own, a row in kMethods, a test, a section in
// docs/man/vmcorectl.1.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/acquire/guest.h"
#include "src/acquire/selection.h"

namespace vmcore::acquire {

struct OpenedGuest {
  std::unique_ptr<Guest> guest;
  Method method;                // that was taken
  std::vector<Remark> remarks;  // why those before it were not, and what it did to the guest
};
Result<OpenedGuest> open_guest(const Selection& selection);

// For a snapshot of a running guest, which has its own method beside the table.
Result<OpenedGuest> open_for_snapshot(const Selection& selection);

// Whether another method may work without what is missing, because this user or this host does not
// allow it. Any other error would happen again.
bool another_may_do(const Error& error);
// Whether auto has another method after that one.
bool has_next(const Selection& selection, Method method);
// The remark that a method was skipped, and why.
Remark passed_over(Method method, const Error& why);

// What the method is called on the command line and in reports.
std::string_view method_name(Method method);
// Of those that the command line takes: nothing for "auto", and for what is no method.
std::optional<Method> method_from_name(std::string_view name);
// All that the command line takes, "auto" first.
std::vector<std::string> method_names();
// The methods for which the selection is sufficient, the best first.
std::vector<Method> methods_for(const Selection& selection);

}  // namespace vmcore::acquire
