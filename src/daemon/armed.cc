// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/armed.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "qmp/connect.h"
#include "qmp/run_actions.h"
#include "src/acquire/libvirt/crash_action.h"
#include "src/acquire/libvirt/domain_deeds.h"
#include "src/audit/audit.h"
#include "src/daemon/after_crash.h"
#include "src/daemon/trap_look.h"
#include "src/job/kernel_end.h"

namespace vmcore::daemon {
namespace {

using acquire::CrashAction;
using config::AfterCrash;

acquire::Selection selection_of(const std::string& uri, const std::string& uuid,
                                const std::string& name) {
  return {.uri = uri, .domain = uuid.empty() ? name : uuid};
}

acquire::Selection selection_of(const GuestId& guest) {
  return selection_of(guest.from, guest.uuid, guest.name);
}

// Nothing of a domain that does not run.
Result<std::optional<CrashAction>> give_back_domain(const acquire::Selection& domain,
                                                    const std::string& before) {
  const auto now = acquire::crash_action(domain);
  if (!now) {
    const bool gone = now.error().code == Errc::not_found || now.error().code == Errc::guest_state;
    return gone ? Result<std::optional<CrashAction>>(std::nullopt) : tl::unexpected(now.error());
  }
  // Somebody else may have chosen another action meanwhile.
  if (!before.empty() && now->action == acquire::kPreserve && before != acquire::kPreserve) {
    TRY(acquire::set_crash_action(domain, before));
  }
  return *now;
}

// What is still to be done with a guest that stands still in that QEMU.
AfterCrash due(const GuestRecord& record, const std::optional<acquire::ProcessKey>& process,
               AfterCrash as_domain) {
  const bool known = record.crash && record.crash->process && record.crash->process == process;
  if (!known) {
    return as_domain;
  }
  return record.crash->settled && record.crash->policy_due.empty()
             ? AfterCrash::preserve
             : after_crash_of(record.crash->policy_due).value_or(as_domain);
}

Result<> carry_on_domain(const GuestRecord& record, const CrashAction& domain) {
  using acquire::DomainDeed;
  if (!domain.crashed) {
    return {};
  }
  const auto do_it = [&](DomainDeed deed) {
    return acquire::do_to_domain(record.from, domain.uuid, deed, true);
  };
  const auto process = acquire::process_of_domain(record.from, domain.name, domain.uuid);
  const auto before = after_crash_of(record.on_crash_before).value_or(AfterCrash::preserve);
  switch (due(record, process, before)) {
    case AfterCrash::restart:
      return do_it(DomainDeed::restart);
    case AfterCrash::destroy:
      return do_it(DomainDeed::destroy);
    case AfterCrash::resume:
      return do_it(DomainDeed::resume);
    case AfterCrash::preserve:
    case AfterCrash::as_domain:
      return {};
  }
  return {};
}

// Its event is not known. The memory of a guest that stands still without the trap, too, tells.
qmp::Course course_of_stopped(const GuestRecord& record,
                              const std::shared_ptr<qmp::Client>& monitor,
                              const qmp::RunActions& before) {
  const auto ending = before.shutdown == "pause"
                          ? job::look_at_end({.socket = record.from, .monitor = monitor})
                          : Result<job::KernelEnding>(job::KernelEnding{});
  return qmp::course_of(wanted_by_end(ending, before), before);
}

Result<> carry_on(const GuestRecord& record, const std::shared_ptr<qmp::Client>& monitor,
                  const qmp::RunActions& before) {
  TRY_ASSIGN(const std::string status, qmp::status_of(*monitor));
  const bool trapped = record.trap_resets && status == qmp::kTrapped;
  if (!trapped && status != qmp::kPanicked) {
    return {};
  }
  const auto listener = qmp::listener_of(monitor->fd());
  const auto course = trapped ? course_of_stopped(record, monitor, before) : qmp::Course::stay;
  const AfterCrash as_domain = trapped ? after_trap(course) : after_panic(before);
  switch (due(record, listener ? process_of_listener(*listener) : std::nullopt, as_domain)) {
    case AfterCrash::restart:
      return qmp::reset_guest(*monitor, before);
    case AfterCrash::destroy:
      return qmp::quit(*monitor);
    case AfterCrash::resume:
      // A guest in the trap cannot just run on.
      return trapped ? qmp::follow(*monitor, course, before) : qmp::resume(*monitor);
    case AfterCrash::preserve:
    case AfterCrash::as_domain:
      return {};
  }
  return {};
}

Result<> give_back_monitor(const GuestRecord& record) {
  std::error_code error;
  if (!std::filesystem::exists(record.from, error)) {
    return {};
  }
  TRY_ASSIGN(const qmp::RunActions before, qmp::actions_from(record.actions_before));
  TRY_ASSIGN(qmp::Client client, qmp::connect(record.from));
  const auto monitor = std::make_shared<qmp::Client>(std::move(client));
  TRY(qmp::set_actions(*monitor,
                       record.trap_resets ? before : qmp::RunActions{.panic = before.panic}));
  return carry_on(record, monitor, before);
}

Result<> give_back_domain(const GuestRecord& record) {
  TRY_ASSIGN(const auto domain,
             give_back_domain(selection_of(record.from, record.uuid, record.name),
                              record.on_crash_before));
  return domain ? carry_on_domain(record, *domain) : Result<>();
}

void record(audit::Deed deed, const GuestId& guest, const Result<>& done) {
  audit::write({.deed = deed,
                .guest = guest.name,
                .uuid = guest.uuid,
                .result = done ? "done" : done.error().message});
}

// Not what it says of a crash, which changes meanwhile.
void take_arming(GuestRecord& record, const GuestRecord& from) {
  record.armed = from.armed;
  record.trap_resets = from.trap_resets;
  record.on_crash_before = from.on_crash_before;
  record.actions_before = from.actions_before;
}

}  // namespace

Result<> give_back(const GuestRecord& record) {
  if (!record.armed) {
    return {};
  }
  return record.from.starts_with('/') ? give_back_monitor(record) : give_back_domain(record);
}

void Armed::remember(const GuestId& guest, const GuestRecord& changed, Done then) {
  GuestRecord& record = hands_.record(guest);
  const GuestRecord before = record;
  take_arming(record, changed);
  hands_.save(record, [this, guest, before, then = std::move(then)](const Result<>& kept) {
    if (!kept) {
      take_arming(hands_.record(guest), before);
    }
    then(kept);
  });
}

void Armed::arm(const GuestId& guest, bool trap_resets, Done done) {
  Done told = [guest, done = std::move(done)](Result<> armed) {
    record(audit::Deed::arm, guest, armed);
    done(std::move(armed));
  };
  if (QmpFolder* const folder = hands_.folder(guest)) {
    arm_monitor(*folder, guest, trap_resets, std::move(told));
  } else if (trap_resets) {
    told(fail(Errc::unsupported,
              "{}: libvirt owns its QEMU, so its resets cannot be trapped: leave --trap-resets out",
              guest.name));
  } else {
    arm_domain(guest, std::move(told));
  }
}

void Armed::arm_monitor(QmpFolder& folder, const GuestId& guest, bool trap_resets, Done done) {
  const HeldMonitor* const monitor = folder.monitor_of(guest.from);
  if (monitor == nullptr || !monitor->connected()) {
    done(fail(Errc::not_found, "{}: vmcored is not connected to its monitor", guest.name));
    return;
  }
  const GuestRecord before = hands_.record(guest);
  GuestRecord changed = before;
  changed.armed = true;
  changed.trap_resets = trap_resets;
  changed.on_crash_before = monitor->actions_before().panic;
  changed.actions_before = qmp::words_of(monitor->actions_before());
  remember(
      guest, changed,
      [&folder, guest, trap_resets, set = or_as_before(before, guest, done), done](Result<> kept) {
        if (kept) {
          folder.arm(guest.from, trap_resets, set);
        } else {
          done(std::move(kept));
        }
      });
}

// What could not be set is not said of the guest either.
Armed::Done Armed::or_as_before(const GuestRecord& before, const GuestId& guest, Done done) {
  return [this, guest, before, done = std::move(done)](Result<> set) {
    if (set) {
      done({});
      return;
    }
    remember(guest, before, [this, guest, done, set](const Result<>& kept) {
      if (!kept) {
        hands_.note(fmt::format("{}: its record says that it is armed, and cannot be written: {}",
                                guest.name, kept.error().message),
                    true);
      }
      done(set);
    });
  };
}

void Armed::arm_domain(const GuestId& guest, Done done) {
  loop_.in_background<Result<CrashAction>>(
      [guest] { return acquire::crash_action(selection_of(guest)); },
      [this, guest, done = std::move(done)](Result<CrashAction> now) {
        if (!now) {
          done(tl::unexpected(std::move(now).error()));
          return;
        }
        const GuestRecord before = hands_.record(guest);
        GuestRecord changed = before;
        changed.armed = true;
        // The action of a domain that is armed already is ours.
        if (now->action != acquire::kPreserve || before.on_crash_before.empty()) {
          changed.on_crash_before = now->action;
        }
        remember(guest, changed,
                 [this, guest, set = or_as_before(before, guest, done), done](Result<> kept) {
                   if (kept) {
                     set_domain(guest, set);
                   } else {
                     done(std::move(kept));
                   }
                 });
      });
}

void Armed::set_domain(const GuestId& guest, Done done) {
  loop_.in_background<Result<CrashAction>>(
      [guest] { return acquire::set_crash_action(selection_of(guest), acquire::kPreserve); },
      [this, guest, done = std::move(done)](Result<CrashAction> set) {
        if (set) {
          hands_.on_armed_domain(guest);
        }
        done(set ? Result<>() : tl::unexpected(std::move(set).error()));
      });
}

void Armed::forget(const GuestId& guest, Done done) {
  remember(guest, {}, [this, guest, done = std::move(done)](const Result<>& kept) {
    if (!kept) {
      hands_.note(
          fmt::format("{}: its record cannot be written: {}", guest.name, kept.error().message),
          true);
    }
    done({});
  });
}

void Armed::disarm(const GuestId& guest, Done done) {
  Done told = [this, guest, done = std::move(done)](Result<> given_back) {
    record(audit::Deed::disarm, guest, given_back);
    if (given_back) {
      forget(guest, done);
    } else {
      done(std::move(given_back));
    }
  };
  if (QmpFolder* const folder = hands_.folder(guest)) {
    folder->disarm(guest.from, std::move(told));
    return;
  }
  loop_.in_background<Result<>>(
      [domain = selection_of(guest), before = hands_.record(guest).on_crash_before] {
        const auto given = give_back_domain(domain, before);
        return given ? Result<>() : tl::unexpected(given.error());
      },
      std::move(told));
}

Armed::State Armed::state_of(const GuestId& guest) const {
  const GuestRecord& record = hands_.record(guest);
  if (!record.armed) {
    return {};
  }
  const QmpFolder* const folder = hands_.folder(guest);
  const HeldMonitor* const monitor = folder != nullptr ? folder->monitor_of(guest.from) : nullptr;
  if (monitor != nullptr && monitor->connected()) {
    return {monitor->armed(), monitor->traps(), monitor->missing()};
  }
  const auto refused = refused_.find(guest.key());
  return refused == refused_.end() ? State{true, record.trap_resets}
                                   : State{.missing = refused->second};
}

void Armed::on_started(const GuestId& guest) {
  const bool armed = hands_.record(guest).armed;
  const bool again = armed && hands_.folder(guest) == nullptr;
  if (!again && (armed || !hands_.wants_arming(guest))) {
    return;
  }
  const Done done = [this, guest](const Result<>& set) {
    refused_.erase(guest.key());
    if (!set) {
      refused_[guest.key()] = set.error().message;
      hands_.note(fmt::format("{} is not armed: {}", guest.name, set.error().message), true);
    }
  };
  if (again) {
    arm_domain(guest, done);
  } else {
    arm(guest, false, done);
  }
}

}  // namespace vmcore::daemon
