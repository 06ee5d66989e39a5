// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/crash_job.h"

#include <poll.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "src/acquire/commands.h"
#include "src/acquire/crash/guest_line.h"
#include "src/acquire/libvirt/setup.h"
#include "src/acquire/setup.h"
#include "src/job/dump_attempt.h"
#include "src/job/dump_name.h"
#include "src/job/guest_census.h"
#include "src/job/guest_lock.h"
#include "src/job/output.h"
#include "src/staging/staged_file.h"

namespace vmcore::job {
namespace {

// A guest without a capture kernel tells QEMU of its panic, and libvirt then does what on_crash
// says.
Result<> check_what_is_left(const acquire::Selection& selection) {
  if (selection.domain.empty()) {
    return {};  // QEMU keeps it, or what it does then is not known
  }
  TRY_ASSIGN(const acquire::GuestSetup setup, acquire::setup_of(selection));
  if (setup.panic_device && setup.on_crash && !setup.on_crash->starts_with("preserve")) {
    return fail(Errc::guest_state,
                "libvirt would end {} when it panics, and no memory would be left to dump "
                "(on_crash is {}): {}",
                setup.name, *setup.on_crash,
                acquire::virsh_command(selection, "set-lifecycle-action", setup.handle,
                                       "crash preserve --live"));
  }
  return {};
}

struct Victim {
  std::string name;
  GuestLock lock;
};

// An Error if the guest must not be crashed.
Result<> look_before(acquire::Guest& guest, const CrashOptions& options) {
  TRY(guest.check_idle());
  TRY_ASSIGN(const acquire::GuestState state, guest.state());
  if (!state.running) {
    return fail(Errc::guest_state,
                "{} is {}: there is nothing to crash. Dump it without --crash-guest", guest.name(),
                state.name);
  }
  const auto census = take_census(guest, state.running, options.outside.dump.how.threads);
  if (census && census->crashed) {
    return fail(Errc::guest_state, "{} has crashed already: dump it without --crash-guest",
                guest.name());
  }
  if (census && census->armed.value_or(false)) {
    return {};
  }
  if (options.unarmed_too) {
    return check_what_is_left(options.outside.guest);
  }
  if (!census || !census->armed) {
    return fail(Errc::guest_state,
                "whether a capture kernel is loaded in {} is not known{}{}: give --force to crash "
                "it all the same",
                guest.name(), census ? "" : ": ", census ? "" : census.error().message);
  }
  return fail(Errc::guest_state,
              "no capture kernel is loaded in {} (in the guest: vmcore-guest setup): give --force "
              "to crash it all the same and dump it from outside",
              guest.name());
}

// On return the monitor is free again, and the guest is locked.
Result<Victim> choose_victim(const CrashOptions& options) {
  TRY_ASSIGN(const acquire::OpenedGuest opened, acquire::open_guest(options.outside.guest));
  acquire::Guest& guest = *opened.guest;
  std::vector<Remark> ignored;
  auto lock = lock_guest(guest.keys(), "crashes the guest and takes its dump", ignored);
  if (!lock) {
    return in_context(std::move(lock).error(), guest.name());
  }
  TRY(look_before(guest, options));
  return Victim{guest.name(), *std::move(lock)};
}

// Whether the guest cannot send a dump. An Error if it must not be crashed then.
Result<bool> has_no_channel(const CrashOptions& options) {
  const acquire::Selection& guest = options.outside.guest;
  if (options.receive.from.empty()) {
    return true;
  }
  if (options.receive.from != guest.domain) {
    return false;
  }
  const auto channel = acquire::channel_of_domain(guest, acquire::kDumpChannel);
  const bool none = !channel && channel.error().code == Errc::not_found;
  if (none && !options.unarmed_too) {
    return fail(Errc::not_found,
                "{}. Or give --force to crash it all the same and dump it from outside",
                channel.error().message);
  }
  return none;
}

// A guest is crashed only if its dump can be written.
Result<> try_output(const GuestDumpOptions& options, const std::string& name) {
  auto path = options.output;
  if (!path.has_filename()) {
    path /= dump_name(name, std::chrono::system_clock::now());
  }
  TRY(Output::open(path, options.dump.force, options.dump.bypass_cache));
  TRY(staging::create_unlinked(spool_folder(options)));
  return {};
}

bool came_whole(const Result<DumpResult>& dump) { return dump && !dump->summary.incomplete; }

// Whether QEMU or the guest's memory shows that it has crashed. On return the monitor is free
// again.
bool shows_crash(const GuestDumpOptions& options) {
  const auto opened = acquire::open_guest(options.guest);
  if (!opened) {
    return false;
  }
  const auto state = opened->guest->state();
  if (!state || !state->running) {
    return state.has_value();
  }
  const auto census = take_census(*opened->guest, state->running, options.dump.how.threads);
  return census && census->crashed;
}

// Also returns when the time is over; the dump then shows the state of the guest. Errc::cancelled.
Result<> await_crash(const CrashOptions& options, const Interrupt& interrupt) {
  constexpr int kLookEvery = 1'000;  // milliseconds
  const auto until = std::chrono::steady_clock::now() + options.receive.wait;
  while (!shows_crash(options.outside) && std::chrono::steady_clock::now() < until) {
    pollfd wait{interrupt.fd(), POLLIN, 0};
    if (::poll(&wait, 1, kLookEvery) > 0) {
      return fail(Errc::cancelled, "interrupted");
    }
  }
  return {};
}

// Crashes a guest that cannot send a dump. An Error if it was not crashed.
Result<ReceiveResult> crash_silent_guest(const CrashOptions& options, const std::string& name,
                                         Interrupt& interrupt, const OnReport& on_report) {
  TRY(try_output(options.outside, name));
  interrupt.arm();
  TRY(acquire::crash_guest(options.outside.guest, options.by));
  ReceiveReport report;
  report.name = name;
  report.can_send = false;
  report.crash = "ordered";
  on_report(report);
  Result<DumpResult> dump = fail(Errc::not_found, "the guest has no channel for its dump");
  if (const Result<> awaited = await_crash(options, interrupt); !awaited) {
    report.interrupted = true;
    dump = tl::unexpected(awaited.error());
  }
  return ReceiveResult{std::move(dump), std::move(report)};
}

// Crashes a guest that has a channel, and receives its dump.
Result<ReceiveResult> crash_sending_guest(const CrashOptions& options, const std::string& name,
                                          Interrupt& interrupt, const OnReport& on_report,
                                          const OnProgress& on_progress) {
  bool crashed = false;
  ReceiveOptions receive_options = options.receive;
  receive_options.crash = [&]() -> Result<> {
    TRY(acquire::crash_guest(options.outside.guest, options.by));
    crashed = true;
    return {};
  };
  ReceiveResult received = receive(receive_options, interrupt, on_report, on_progress);
  if (!crashed) {
    return received.dump
               ? fail(Errc::guest_state, "{} sent a dump before it was told to crash", name)
               : tl::unexpected(received.dump.error());
  }
  return received;
}

}  // namespace

Result<CrashResult> crash_and_receive(const CrashOptions& options, Interrupt& interrupt,
                                      const OnReport& on_report, const OnProgress& on_progress) {
  TRY_ASSIGN(const Victim victim, choose_victim(options));
  TRY_ASSIGN(const bool silent, has_no_channel(options));
  if (!options.confirm(victim.name)) {
    return fail(Errc::cancelled, "{} was not crashed", victim.name);
  }
  auto received =
      silent ? crash_silent_guest(options, victim.name, interrupt, on_report)
             : crash_sending_guest(options, victim.name, interrupt, on_report, on_progress);
  if (!received) {
    return tl::unexpected(std::move(received).error());
  }
  CrashResult result{.received = *std::move(received)};
  const Result<DumpResult>& dump = result.received.dump;
  const bool told = dump && is_stream(options.outside.output);  // that has one dump
  if (!came_whole(dump) && !result.received.report.interrupted && !told) {
    GuestDumpOptions from_outside = options.outside;
    from_outside.locked = true;
    result.outside = dump_guest(from_outside, interrupt, on_progress);
    const GuestDumpResult& outside = *result.outside;
    result.shows_no_crash = outside.dump && !outside.dump->summary.crashed && outside.guest &&
                            outside.guest->before.running;
  }
  return result;
}

}  // namespace vmcore::job
