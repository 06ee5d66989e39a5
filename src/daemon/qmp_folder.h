// SPDX-License-Identifier: GPL-2.0-or-later
// QmpFolder: the guests of a folder in which each UNIX socket is the QMP monitor of a QEMU without
// libvirt. The service holds all of these monitors.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/daemon/guest_source.h"
#include "src/daemon/held_monitor.h"
#include "src/daemon/loop.h"

namespace vmcore::daemon {

class QmpFolder final : public GuestSource {
 public:
  // `wishes`: by the paths of sockets, as a vmcored that ran before had them. Waits for a folder
  // that does not exist yet. Errc::denied for a folder to which others than root and this user can
  // write: whoever makes a socket there chooses what is dumped.
  static Result<std::unique_ptr<QmpFolder>> open(Loop& loop, std::filesystem::path folder,
                                                 MonitorPrograms programs, SourceEvents calls,
                                                 std::map<std::string, ArmWish> wishes = {});
  QmpFolder(const QmpFolder&) = delete;
  QmpFolder& operator=(const QmpFolder&) = delete;
  ~QmpFolder() override;

  bool has(const GuestId& guest) const override { return find(guest.from) != nullptr; }
  Result<LentGuest> lend(const GuestId& guest) override;
  void take_back(const GuestId& guest, bool usable) override;
  void leave(const GuestId& guest) override;
  void act(const GuestId& guest, GuestDeed deed, bool only_if_stopped,
           std::function<void(Result<>)> done) override;
  std::optional<acquire::ProcessKey> process_of(const GuestId& guest) override;
  std::optional<config::AfterCrash> wanted_after_crash(const GuestId& guest) override;

  // As HeldMonitor does, also for the next QEMU with that socket.
  void arm(const std::string& socket, bool trap, HeldMonitor::Done done);
  void disarm(const std::string& socket, HeldMonitor::Done done);

  // Of the guest of that socket: null if none is held.
  HeldMonitor* monitor_of(const std::string& socket) const { return find(socket); }
  std::vector<GuestId> guests() const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  QmpFolder(Loop& loop, std::filesystem::path folder, MonitorPrograms programs, SourceEvents calls,
            std::map<std::string, ArmWish> wishes, Fd inotify);
  HeldMonitor* find(const std::string& socket) const;
  // The wish is that one, and the one before if it cannot be carried out.
  HeldMonitor::Done or_as_before(const std::string& socket, ArmWish wish, HeldMonitor::Done done);
  void watch_folder();
  void on_change();
  void scan();
  void scan_later();

  Loop& loop_;
  std::filesystem::path folder_;
  MonitorPrograms programs_;
  SourceEvents calls_;
  std::map<std::string, ArmWish> wishes_;
  Fd inotify_;
  bool watching_ = false;
  Loop::Timer rescan_ = 0;
  std::map<std::string, std::shared_ptr<HeldMonitor>> monitors_;  // by their sockets
};

}  // namespace vmcore::daemon
