// SPDX-License-Identifier: GPL-2.0-or-later
// What libvirt does with a domain whose guest panics (on_crash), of the domain as it runs now: its
// definition on disk is neither read nor changed. By libvirt's public API, which taints nothing.
#pragma once

#include <string>
#include <string_view>

#include "src/acquire/selection.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// The word that keeps a guest that panicked as it is.
inline constexpr std::string_view kPreserve = "preserve";

// A domain and its action at this time.
struct CrashAction {
  std::string name = {};
  std::string uuid = {};
  std::string action = {};  // "destroy", "restart", "preserve", "coredump-restart" ...
  bool crashed = false;     // its guest stands still in its panic
};

// Errc::guest_state for a domain that does not run.
Result<CrashAction> crash_action(const Selection& selection);

// Changes it, until the domain is shut down. Returns what it was before. preserve-running, which
// also keeps the guest, is left as it is (libvirt 12.6). Errc::unsupported for a word that this
// libvirt has no number for.
Result<CrashAction> set_crash_action(const Selection& selection, std::string_view action);

}  // namespace vmcore::acquire
