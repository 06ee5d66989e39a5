// SPDX-License-Identifier: GPL-2.0-or-later
// The command lines of the service's jobs, and what they say.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/acquire/crash/panic_events.h"
#include "src/base/result.h"
#include "src/config/config.h"
#include "src/daemon/guest_machine.h"
#include "src/daemon/job_process.h"
#include "src/job/budget.h"
#include "src/report/job_event.h"

namespace vmcore::daemon {

// Where jobs keep crashes, and what they read their budgets from.
struct JobPlaces {
  std::filesystem::path store = {};
  std::filesystem::path config = {};  // empty: the usual file
  // "--store" and "--config", as far as they are needed.
  std::vector<std::string> words() const;
};

// `guest` is lent to the job, and `share` of the host.
JobCommand job_command(const StartJob& job, LentGuest guest, const JobPlaces& places,
                       const config::GuestPolicy& policy, const job::Budget& share);

// What one line means: news of the job, or what happened to the guest while the job had its
// monitor. `monitor`: the job has given a lent monitor back, and whether it can be used as it is.
struct JobSays {
  std::variant<std::monostate, JobNews, acquire::GuestEvent> what = {};
  std::optional<bool> monitor = {};
};
Result<JobSays> read_job_line(std::string_view line, JobKind kind);

// What `vmcorectl info --output json` printed of a guest.
JobLooked read_look(std::string_view text);

}  // namespace vmcore::daemon
