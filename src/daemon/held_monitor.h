// SPDX-License-Identifier: GPL-2.0-or-later
// HeldMonitor: the guest of one QMP socket of a folder (monitor_line.h is the connection). It tells
// the service what happens to the guest, lends its monitor to jobs, arms the guest, and, with the
// reset trap, carries out what a guest that stopped in it wanted.
//
// In the loop's thread. What may block, which is each command to QEMU, runs in the background.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "qmp/client.h"
#include "qmp/run_actions.h"
#include "src/acquire/crash/panic_events.h"
#include "src/daemon/guardian_line.h"
#include "src/daemon/guest_source.h"
#include "src/daemon/job_process.h"
#include "src/daemon/loop.h"
#include "src/daemon/monitor_line.h"
#include "src/daemon/trap_look.h"

namespace vmcore::daemon {

// What vmcored sets in a guest each time it connects to its monitor.
struct ArmWish {
  bool armed = false;  // a guest that panics stops
  bool trap = false;   // a guest that resets or powers off stops, too
  // The QEMU whose guest stands in a crash that was handled, and stays like this.
  std::optional<acquire::ProcessKey> stays = {};
};

struct MonitorPrograms {
  std::filesystem::path vmcorectl = {};
  std::filesystem::path guardian = {};
  // How long after it has begun to boot a look at a guest is prepared.
  std::chrono::milliseconds boot_time = std::chrono::seconds(30);
};

class HeldMonitor : public std::enable_shared_from_this<HeldMonitor>, public MonitorLine::Owner {
 public:
  using Done = MonitorLine::Done;

  HeldMonitor(Loop& loop, std::filesystem::path socket, const MonitorPrograms& programs,
              const SourceEvents& calls);
  HeldMonitor(const HeldMonitor&) = delete;
  HeldMonitor& operator=(const HeldMonitor&) = delete;
  ~HeldMonitor() override;

  // Before begin(): as a vmcored that ran before knew it.
  void wish(ArmWish wish) { wish_ = wish; }
  // Once. Connects until there is a QEMU.
  void begin();
  // The file is not there any more; false if the monitor is held all the same.
  bool gone() { return line_->give_up(); }

  const std::filesystem::path& socket() const { return socket_; }
  bool connected() const { return line_->connected(); }
  const GuestId& id() const { return id_; }
  std::optional<acquire::ProcessKey> process() const { return line_->process(); }
  // Before vmcored changed them.
  const qmp::RunActions& actions_before() const { return before_; }
  bool trapped() const { return trapped_.has_value(); }
  // What is set in this QEMU.
  bool armed() const { return set_.armed; }
  bool traps() const { return set_.trap && wish_.trap; }
  // What of the wish is not set, and why; empty: nothing is missing.
  const std::string& missing() const { return missing_; }

  // Now, and each time that it is connected again. Panics are armed even where resets cannot be
  // trapped, which is no Error: missing() tells. After an Error the wish is the one before.
  void arm(bool trap, Done done);
  // QEMU's actions are as before. The crash of a guest that stands still is handled to its end; a
  // guest in the trap then goes on. An Error as above.
  void disarm(Done done);

  Result<LentGuest> lend();
  void take_back(bool usable) { line_->take_back(usable); }
  void leave();
  void act(GuestDeed deed, bool only_if_stopped, Done done);
  // What the guest did, in the eyes of another who had the monitor.
  void tell(acquire::GuestEvent event);
  config::AfterCrash wanted() const;

 private:
  // A guest that stands still in the trap.
  struct Trapped {
    qmp::Wanted wanted = qmp::Wanted::reset;
    acquire::GuestEvent event = {};
    Loop::Clock::time_point since = {};
    unsigned looks = 0;  // that spoilt the monitor
    bool told = false;   // as a crash, which is in the hands of the service
  };

  void on_connected(qmp::RunActions before) override;
  void on_event(const acquire::GuestEvent& event) override;
  void on_lost() override;
  void on_ended() override;
  void on_unusable(const Error& error) override;

  void want(ArmWish wish, Done done);
  void set_wish(Done done);
  void on_wish_set(ArmWish set_now, const Result<>& set, bool stands);
  // Calls it when what came with the answer before has been heard.
  void after_events(void (HeldMonitor::*what)());
  bool may_trap() const { return set_.trap || guardian_; }
  Result<> guard();
  void guard_later();
  void watch_guardian();
  void on_guardian_ended();
  void end_unguarded_trap();
  void end_guardian();
  void end_spare_guardian();
  void instruct_guardian();
  qmp::RunActions actions_now() const;
  void on_found(const acquire::GuestEvent& event);
  void on_found_standing(const acquire::GuestEvent& event);
  void tell_found(acquire::GuestEvent::Kind kind);
  qmp::Course course() const;
  void trap(qmp::Wanted wanted, const acquire::GuestEvent& event);
  void look();
  Result<> start_look(bool ahead);
  Result<> go_on_looking();
  bool look_waits() const { return look_ && looked_->waits && !looked_->over; }
  void on_look_line(std::string_view line);
  void on_look_ended();
  void on_look_ready();
  void on_look();
  void judge(const TrapLook& look);
  void look_ahead();
  void drop_look_ahead();
  void tell_crash(const std::string& how);
  void carry_on(const char* why);
  void on_carried_on(const char* why);
  void leave_trap(bool stays);
  void note(const std::string& text, bool bad = false) const;

  Loop& loop_;
  std::filesystem::path socket_;
  const MonitorPrograms& programs_;
  const SourceEvents& calls_;

  GuestId id_;
  std::shared_ptr<MonitorLine> line_;
  qmp::RunActions before_ = qmp::kQemuActions;

  ArmWish wish_;
  ArmWish set_;  // in QEMU
  std::string missing_;
  GuardianLine guardian_;
  std::optional<Trapped> trapped_;
  bool stays_ = false;  // the guest stands still, and nobody carries it on
  std::unique_ptr<JobProcess> look_;
  std::shared_ptr<TrapLook> looked_;  // of that job

  Loop::Timer ahead_ = 0;
  Loop::Timer guard_ = 0;
};

// Whether a kernel runs in the guest, as far as registers tell: an instruction pointer of the
// kernel's half. Nothing where that cannot be asked.
std::optional<bool> kernel_runs(qmp::Client& monitor);

}  // namespace vmcore::daemon
