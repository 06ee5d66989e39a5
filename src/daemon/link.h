// SPDX-License-Identifier: GPL-2.0-or-later
// LibvirtLink: the domains of one libvirt connection. It connects in the background, and again when
// the connection was lost: after a second, then after twice the time, at most a minute. What
// happens to it touches no other link.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "src/acquire/crash/panic_events.h"
#include "src/acquire/libvirt/setup.h"
#include "src/daemon/guest_source.h"
#include "src/daemon/loop.h"

namespace vmcore::daemon {

class LibvirtLink final : public GuestSource {
 public:
  // Begins to connect. The loop outlives it. An embedded driver is Errc::unsupported: it belongs to
  // one process, and jobs are others.
  static Result<std::unique_ptr<LibvirtLink>> start(Loop& loop, const std::string& uri,
                                                    SourceEvents events);
  ~LibvirtLink() override;
  LibvirtLink(const LibvirtLink&) = delete;
  LibvirtLink& operator=(const LibvirtLink&) = delete;

  bool has(const GuestId& guest) const override;
  Result<LentGuest> lend(const GuestId& guest) override;
  void take_back(const GuestId&, bool) override {}  // libvirt holds the monitor
  void act(const GuestId& guest, GuestDeed deed, bool only_if_stopped,
           std::function<void(Result<>)> done) override;
  std::optional<acquire::ProcessKey> process_of(const GuestId& guest) override;
  std::optional<config::AfterCrash> wanted_after_crash(const GuestId& guest) override;
  std::vector<config::Setting> asked_policy(const GuestId& guest) override;

 private:
  using Events = std::unique_ptr<acquire::PanicEvents>;
  using Traits = std::map<std::string, acquire::CrashTraits>;

  LibvirtLink(Loop& loop, std::string uri, SourceEvents events)
      : loop_(loop), uri_(std::move(uri)), tell_(std::move(events)) {}
  void connect();
  void connected(Result<Events> events);
  void lost(const std::string& why);
  void drop();
  void read_events();
  // The domains as they were found; those that are not there any more have ended.
  void read_found();
  void take(const acquire::GuestEvent& event);
  GuestId id_of(const acquire::GuestEvent& event) const;
  // Asks for traits_ again.
  void learn_traits();

  Loop& loop_;
  std::string uri_;
  SourceEvents tell_;
  Events events_ = nullptr;
  std::map<std::string, GuestId> guests_ = {};  // that run, by UUID
  Traits traits_ = {};
  bool learning_ = false;
  bool learn_again_ = false;
  std::chrono::seconds wait_{1};
  std::string told_ = {};  // why there is no connection
  Loop::Timer retry_ = 0;
  // What comes from the background finds out by it whether this object is still there.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace vmcore::daemon
