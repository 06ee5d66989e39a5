// SPDX-License-Identifier: GPL-2.0-or-later
// MonitorLine: the connection to one QMP socket. It connects again and again, and its monitor has
// one user at a time: the loop, which hears events; a command, which runs in the background; or a
// job, to which it is lent.
//
// In the loop's thread.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "qmp/client.h"
#include "qmp/run_actions.h"
#include "qmp/unix_peers.h"
#include "src/acquire/crash/panic_events.h"
#include "src/daemon/guest_source.h"
#include "src/daemon/loop.h"

namespace vmcore::daemon {

class MonitorLine : public std::enable_shared_from_this<MonitorLine> {
 public:
  using Work = std::function<Result<>(qmp::Client&)>;
  using Done = std::function<void(Result<>)>;

  // What happens on the line.
  class Owner {
   public:
    virtual ~Owner() = default;
    // A QEMU is connected, with these actions on its command line. What is run() in this call comes
    // before the first event.
    virtual void on_connected(qmp::RunActions before) = 0;
    virtual void on_event(const acquire::GuestEvent& event) = 0;
    // The connection is about to be closed. Others that have its descriptor must let it go.
    virtual void on_lost() = 0;
    // The QEMU that was connected has ended.
    virtual void on_ended() = 0;
    // The socket is not tried again while its file is the same. Once for each error.
    virtual void on_unusable(const Error& error) = 0;
  };

  // `name`: the guest's, for messages; it may change, and lives until close().
  MonitorLine(Loop& loop, std::filesystem::path socket, const std::string& name);
  MonitorLine(const MonitorLine&) = delete;
  MonitorLine& operator=(const MonitorLine&) = delete;
  ~MonitorLine();

  // Once. Connects until there is a QEMU; not again to what is no QMP monitor, or may not be
  // believed, while the file is the same.
  void begin(std::weak_ptr<Owner> owner);
  // The file is not there any more: ends the attempts. False if there is a connection all the same.
  bool give_up();
  // For good. Nothing is called any more.
  void close();

  bool connected() const { return client_ != nullptr; }
  // There is a QEMU, also while its connection is made again.
  bool has_guest() const { return has_guest_; }
  std::optional<acquire::ProcessKey> process() const { return process_; }
  // -1: not connected.
  int fd() const { return client_ ? client_->fd() : -1; }

  // Does the work in the background when the loop has the monitor, one work after the other. Calls
  // `done` once, not before run() has returned: Errc::not_found if the connection is lost first.
  // Events that came with the answer are heard after it.
  void run(Work work, Done done);
  // The descriptor, for a job. Errc::busy if the loop does not have the monitor.
  Result<int> lend();
  // Does nothing if it is not lent.
  void take_back(bool usable);
  // Gives the connection up, and makes a new one.
  void lose(const std::string& why);

 private:
  enum class Place : std::uint8_t { nowhere, connecting, home, away, lent };
  struct Job {
    Work work;
    Done done;
  };
  struct Connected {
    std::shared_ptr<qmp::Client> client;
    std::unique_ptr<acquire::PanicEvents> events;
    std::optional<acquire::ProcessKey> process;
    qmp::RunActions before;
  };

  static Result<Connected> connect(const std::filesystem::path& socket);
  void try_connect();
  void on_connected(Result<Connected> connected);
  void on_refused(const Error& error);
  void try_later();
  void end_guest();
  bool is_same_file();
  void run_next();
  void come_home();
  void hear();
  void forget_jobs(const std::string& why);
  void unwatch();

  Loop& loop_;
  std::filesystem::path socket_;
  const std::string& name_;
  std::weak_ptr<Owner> owner_;

  Place place_ = Place::nowhere;
  std::shared_ptr<qmp::Client> client_;
  std::unique_ptr<acquire::PanicEvents> events_;
  int watched_ = -1;
  bool has_guest_ = false;
  std::optional<acquire::ProcessKey> process_;
  std::deque<Job> jobs_;

  Loop::Timer retry_ = 0;
  std::chrono::milliseconds wait_{};
  Loop::Clock::time_point connected_at_ = {};
  unsigned unsteady_ = 0;  // connections in a row that did not last
  std::string last_error_;
  struct stat refused_ {};  // the file that is not connected to again
};

// The QEMU that made the socket of a monitor.
std::optional<acquire::ProcessKey> process_of_listener(const qmp::Listener& listener);

}  // namespace vmcore::daemon
