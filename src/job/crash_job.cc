#include "src/job/crash_job.h"

#include <utility>

#include "src/acquire/commands.h"
#include "src/acquire/setup.h"
#include "src/job/guest_census.h"
#include "src/job/output.h"

namespace vmcore::job {
namespace {

// A guest without a panic kernel tells QEMU of its panic, and is libvirt's then.
Result<> check_what_is_left(const acquire::Selection& selection) {
  TRY_ASSIGN(const acquire::GuestSetup setup, acquire::setup_of(selection));
  if (setup.panic_device && setup.on_crash && *setup.on_crash != "preserve") {
    return fail(Errc::guest_state,
                "libvirt would end {} when it panics, and leave nothing to be dumped (on_crash is "
                "{}): {}",
                setup.name, *setup.on_crash,
                acquire::virsh_command(selection, "set-lifecycle-action", setup.handle,
                                       "crash preserve --live"));
  }
  return {};
}

// What speaks against crashing it. The monitor is free again on return.
Result<std::string> look_before(const CrashOptions& options) {
  TRY_ASSIGN(const acquire::OpenedGuest opened, acquire::open_guest(options.outside.guest));
  acquire::Guest& guest = *opened.guest;
  TRY(guest.check_idle());
  TRY_ASSIGN(const acquire::GuestState state, guest.state());
  if (!state.running) {
    return fail(Errc::guest_state,
                "{} is {}: there is nothing to crash. Dump it without --crash-guest", guest.name(),
                state.name);
  }
  const auto census = take_census(guest, state.running, options.outside.dump.threads);
  if (census && census->armed.value_or(false)) {
    return guest.name();
  }
  if (options.unarmed_too) {
    TRY(check_what_is_left(options.outside.guest));
    return guest.name();
  }
  if (!census || !census->armed) {
    return fail(Errc::guest_state,
                "it cannot be seen from here whether a panic kernel is loaded in {}{}{}: --force "
                "crashes it all the same",
                guest.name(), census ? "" : ": ", census ? "" : census.error().message);
  }
  return fail(Errc::guest_state,
              "no panic kernel is loaded in {} (in the guest: vmcore-guest setup): --force "
              "crashes it all the same, and dumps it from outside",
              guest.name());
}

bool came_whole(const Result<DumpResult>& dump) { return dump && !dump->done.incomplete; }

}  // namespace

Result<CrashResult> crash_and_receive(const CrashOptions& options, Interrupt& interrupt,
                                      const OnReport& on_report, const OnProgress& on_progress) {
  TRY_ASSIGN(const std::string name, look_before(options));
  if (!options.confirm(name)) {
    return fail(Errc::cancelled, "{} was not crashed", name);
  }
  bool crashed = false;
  ReceiveOptions receive_options = options.receive;
  receive_options.crash = [&]() -> Result<> {
    TRY(acquire::crash_guest(options.outside.guest, options.by));
    crashed = true;
    return {};
  };
  CrashResult result{.received = receive(receive_options, interrupt, on_report, on_progress)};
  const Result<DumpResult>& dump = result.received.dump;
  if (!crashed) {
    return dump ? fail(Errc::guest_state, "{} sent a dump before it was told to crash", name)
                : tl::unexpected(dump.error());
  }
  const bool told = dump && is_stream(options.outside.output);  // that has one dump
  if (!came_whole(dump) && !result.received.report.interrupted && !told) {
    result.outside = dump_guest(options.outside, interrupt, on_progress);
    const GuestDumpResult& outside = *result.outside;
    result.shows_no_crash = outside.dump && !outside.dump->done.crashed && outside.guest &&
                            outside.guest->before.running;
  }
  return result;
}

}  // namespace vmcore::job
