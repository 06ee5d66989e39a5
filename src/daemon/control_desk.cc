// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/control_desk.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <optional>
#include <utility>
#include <variant>

#include "src/daemon/guest_machine.h"
#include "src/report/job_event.h"

namespace vmcore::daemon {
namespace {

using control::Answer;
using control::Asked;
using control::GuestStatus;
using control::Request;
using control::Verb;

constexpr std::size_t kMostLoanText = 1U << 20;

bool is_named(const GuestId& guest, const std::string& word) {
  return guest.name == word || (!guest.uuid.empty() && guest.uuid == word);
}

}  // namespace

ControlDesk::ControlDesk(Loop& loop, control::Server server, Armed& armed, Hands hands)
    : loop_(loop), server_(std::move(server)), armed_(armed), hands_(std::move(hands)) {
  loop_.watch(server_.fd(), [this] { step(); });
}

ControlDesk::~ControlDesk() {
  loop_.forget(server_.fd());
  for (const auto& [socket, loan] : loans_) {
    loop_.forget(loan.connection.get());
  }
}

void ControlDesk::step() {
  for (const Asked& asked : server_.step()) {
    serve(asked);
  }
}

void ControlDesk::serve(const Asked& asked) {
  switch (asked.request.verb) {
    case Verb::lend:
      return lend(asked);
    case Verb::arm:
    case Verb::disarm:
      return change(asked);
    case Verb::status: {
      Answer answer;
      for (const GuestId& guest : chosen(asked.request, answer)) {
        answer.guests.push_back(status_of(guest));
      }
      return server_.answer(asked.client, answer);
    }
  }
}

GuestStatus ControlDesk::status_of(const GuestId& guest) const {
  Armed::State state = armed_.state_of(guest);
  return {.name = guest.name,
          .uuid = guest.uuid,
          .from = guest.from,
          .state = hands_.state(guest),
          .armed = state.armed,
          .trap_resets = state.trap_resets,
          .missing = std::move(state.missing),
          .on_crash_before = hands_.record(guest).on_crash_before};
}

std::vector<GuestId> ControlDesk::chosen(const Request& request, Answer& answer) const {
  std::vector<GuestId> all = hands_.guests();
  std::erase_if(all, [&](const GuestId& guest) {
    return (!request.uri.empty() && guest.from != request.uri) ||
           (!request.socket.empty() && guest.from != request.socket);
  });
  if (request.all ||
      (request.guests.empty() && request.socket.empty() && request.verb == Verb::status)) {
    return all;
  }
  if (!request.socket.empty()) {
    if (all.empty()) {
      answer.guests.push_back(
          {.name = request.socket,
           .error = "vmcored does not hold the monitor of that socket: add its folder to "
                    "qmp-folders (vmcored.conf(5))"});
    }
    return all;
  }
  std::vector<GuestId> guests;
  for (const std::string& word : request.guests) {
    std::vector<GuestId> named;
    std::ranges::copy_if(all, std::back_inserter(named),
                         [&](const GuestId& guest) { return is_named(guest, word); });
    if (named.size() > 1) {
      leave_out_the_gone(named);
    }
    if (named.empty()) {
      answer.guests.push_back(
          {.name = word,
           .error =
               "vmcored knows no guest of that name (vmcorectl arm, without a guest, lists all)"});
    } else if (named.size() > 1) {
      answer.guests.push_back(
          {.name = word, .error = "several guests have that name: give the UUID, or -c URI"});
    } else {
      guests.push_back(named.front());
    }
  }
  return guests;
}

// A transient domain that is created again has a new UUID and the old name. The old one has ended.
void ControlDesk::leave_out_the_gone(std::vector<GuestId>& guests) const {
  const auto gone = [this](const GuestId& guest) {
    return hands_.state(guest) == phase_name(GuestPhase::gone);
  };
  if (!std::ranges::all_of(guests, gone)) {
    std::erase_if(guests, gone);
  }
}

void ControlDesk::change(const Request& request, const GuestId& guest, Armed::Done done) {
  if (request.verb == Verb::arm) {
    armed_.arm(guest, request.trap_resets, std::move(done));
  } else {
    armed_.disarm(guest, std::move(done));
  }
}

void ControlDesk::change(const Asked& asked) {
  const auto pending = std::make_shared<Pending>();
  pending->client = asked.client;
  std::vector<GuestId> guests = chosen(asked.request, pending->answer);
  // All that this can be done with.
  if (asked.request.all) {
    std::erase_if(guests, [&](const GuestId& guest) {
      return asked.request.verb == Verb::disarm
                 ? !hands_.record(guest).armed
                 : hands_.state(guest) == phase_name(GuestPhase::gone);
    });
  }
  // --trap-resets of all guests is of those that can have it.
  if (asked.request.all && asked.request.trap_resets) {
    std::erase_if(guests,
                  [&](const GuestId& guest) { return hands_.folder(guest.from) == nullptr; });
  }
  pending->open = guests.size();
  if (guests.empty()) {
    server_.answer(asked.client, pending->answer);
  }
  for (const GuestId& guest : guests) {
    change(asked.request, guest, [this, pending, guest](const Result<>& done) {
      GuestStatus status = status_of(guest);
      status.error = done ? "" : done.error().message;
      pending->answer.guests.push_back(std::move(status));
      if (--pending->open == 0) {
        server_.answer(pending->client, pending->answer);
      }
    });
  }
}

void ControlDesk::lend(const Asked& asked) {
  const std::string& socket = asked.request.socket;
  QmpFolder* const folder = hands_.folder(socket);
  HeldMonitor* const monitor = folder != nullptr ? folder->monitor_of(socket) : nullptr;
  if (monitor == nullptr) {
    server_.answer(asked.client,
                   {.error = Error{Errc::not_found, "vmcored does not hold that monitor"}});
    return;
  }
  auto lent = monitor->lend();
  if (!lent) {
    server_.answer(asked.client, {.error = std::move(lent).error()});
    return;
  }
  auto connection = server_.lend(asked.client, lent->fds);
  if (!connection) {
    monitor->take_back(true);
    return;
  }
  const int fd = connection->get();
  loans_.insert_or_assign(socket, Loan{.connection = *std::move(connection)});
  loop_.watch(fd, [this, socket] { read_loan(socket); });
}

void ControlDesk::read_loan(const std::string& socket) {
  Loan& loan = loans_.at(socket);
  std::array<char, 16 << 10> buffer;
  const ssize_t got = ::recv(loan.connection.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (got <= 0 || loan.text.size() > kMostLoanText) {
    end_loan(socket);
    return;
  }
  loan.text.append(buffer.data(), static_cast<std::size_t>(got));
}

// Reports what happened to the guest meanwhile only after the monitor came back: the service may
// need the monitor to react.
void ControlDesk::end_loan(const std::string& socket) {
  auto node = loans_.extract(socket);
  Loan& loan = node.mapped();
  loop_.forget(loan.connection.get());
  bool usable = false;
  std::vector<acquire::GuestEvent> events;
  for (std::string_view rest = loan.text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const auto event = report::job_event_from_line(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto* const happened = event ? std::get_if<report::JobGuestEvent>(&*event) : nullptr;
    const auto* const read = event ? std::get_if<report::JobMemoryRead>(&*event) : nullptr;
    const auto kind = happened != nullptr ? acquire::kind_named(happened->what) : std::nullopt;
    if (kind) {
      events.push_back({.kind = *kind,
                        .time = std::chrono::microseconds(happened->time_us),
                        .details = happened->details});
    }
    usable = read != nullptr ? read->monitor.value_or(false) : usable;
  }
  QmpFolder* const folder = hands_.folder(socket);
  HeldMonitor* const monitor = folder != nullptr ? folder->monitor_of(socket) : nullptr;
  if (monitor == nullptr) {
    return;
  }
  monitor->take_back(usable);
  for (acquire::GuestEvent& event : events) {
    monitor->tell(std::move(event));
  }
}

}  // namespace vmcore::daemon
