// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/armed.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "qmp/connect.h"
#include "qmp/run_actions.h"
#include "src/acquire/libvirt/crash_action.h"
#include "src/audit/audit.h"

namespace vmcore::daemon {
namespace {

using acquire::CrashAction;

acquire::Selection selection_of(const std::string& uri, const std::string& uuid,
                                const std::string& name) {
  return {.uri = uri, .domain = uuid.empty() ? name : uuid};
}

acquire::Selection selection_of(const GuestId& guest) {
  return selection_of(guest.from, guest.uuid, guest.name);
}

Result<> give_back_domain(const acquire::Selection& domain, const std::string& before) {
  const auto now = acquire::crash_action(domain);
  if (!now) {
    const bool gone = now.error().code == Errc::not_found || now.error().code == Errc::guest_state;
    return gone ? Result<>() : tl::unexpected(now.error());
  }
  // Somebody else may have chosen another action meanwhile.
  if (before.empty() || now->action != acquire::kPreserve || before == acquire::kPreserve) {
    return {};
  }
  TRY(acquire::set_crash_action(domain, before));
  return {};
}

Result<> give_back_monitor(const GuestRecord& record) {
  std::error_code error;
  if (!std::filesystem::exists(record.from, error)) {
    return {};
  }
  TRY_ASSIGN(qmp::RunActions before, qmp::actions_from(record.actions_before));
  if (!record.trap_resets) {
    before.reboot.clear();
    before.shutdown.clear();
  }
  TRY_ASSIGN(qmp::Client monitor, qmp::connect(record.from));
  return qmp::set_actions(monitor, before);
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
  return record.from.starts_with('/')
             ? give_back_monitor(record)
             : give_back_domain(selection_of(record.from, record.uuid, record.name),
                                record.on_crash_before);
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
    } else {
      remember(guest, before, [done, set](const Result<>&) { done(set); });
    }
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
      [done = std::move(done)](Result<CrashAction> set) {
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
        return give_back_domain(domain, before);
      },
      std::move(told));
}

void Armed::on_started(const GuestId& guest) {
  const bool armed = hands_.record(guest).armed;
  const bool again = armed && hands_.folder(guest) == nullptr;
  if (!again && (armed || !hands_.wants_arming(guest))) {
    return;
  }
  const Done done = [this, guest](const Result<>& set) {
    if (!set) {
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
