// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/caller_trials.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "src/base/fd.h"

namespace vmcore::job {
std::vector<std::string> CallerTrials::peers() const {
  std::vector<std::string> peers;
  for (const Trial& trial : trials_) {
    peers.push_back(trial.peer);
  }
  return peers;
}

std::size_t CallerTrials::count(const std::string& peer) const {
  return static_cast<std::size_t>(std::ranges::count(trials_, peer, &Trial::peer));
}

// A guest begins its stream at once. While its worker does not run yet, there are unread bytes.
bool CallerTrials::is_silent(Trial& trial) {
  const auto now = std::chrono::steady_clock::now();
  if (is_readable(trial.reading.line.get()) || is_readable(trial.reading.worker.fd())) {
    trial.silent_since.reset();
    return false;
  }
  trial.silent_since = trial.silent_since.value_or(now);
  return now - *trial.silent_since >= kLeast;
}

// Drops a silent client: the oldest of the given peer, else of the peer that has the most.
bool CallerTrials::drop_silent(const std::optional<std::string>& peer) {
  auto victim = trials_.end();
  for (auto trial = trials_.begin(); trial != trials_.end(); ++trial) {
    const bool silent = is_silent(*trial) && (!peer || trial->peer == *peer);
    if (silent && (victim == trials_.end() || count(trial->peer) > count(victim->peer))) {
      victim = trial;
    }
  }
  if (victim == trials_.end()) {
    return false;
  }
  trials_.erase(victim);
  return true;
}

bool CallerTrials::make_room(const std::string& peer) {
  if (count(peer) >= kMostOfPeer) {
    return drop_silent(peer);
  }
  return trials_.size() < kMost || drop_silent({});
}

Result<bool> CallerTrials::take(acquire::Callers& callers) {
  while (true) {
    TRY_ASSIGN(auto caller, callers.next(peers()));
    if (!caller) {
      return false;
    }
    if (!make_room(caller->peer)) {
      callers.put_back(*std::move(caller));
      return true;
    }
    std::string peer = caller->peer;
    TRY_ASSIGN(StreamReading reading, begin_(*std::move(caller)));
    trials_.push_back({.peer = std::move(peer), .reading = std::move(reading)});
  }
}

std::vector<int> CallerTrials::fds() const {
  std::vector<int> fds;
  for (const Trial& trial : trials_) {
    fds.push_back(trial.reading.worker.fd());
  }
  return fds;
}

std::optional<CallerTrials::Winner> CallerTrials::look(
    const std::function<void(const Stray&)>& told) {
  for (auto trial = trials_.begin(); trial != trials_.end();) {
    StreamReading& reading = trial->reading;
    if (!is_readable(reading.worker.fd())) {
      ++trial;
      continue;
    }
    const Result<sandbox::Event> event = reading.worker.next_event();
    if (const auto* hello = event ? std::get_if<sandbox::Hello>(&*event) : nullptr) {
      return Winner{std::move(reading), *hello};
    }
    const auto* failed = event ? std::get_if<sandbox::Failed>(&*event) : nullptr;
    told({reading.name, failed != nullptr ? failed->error
                        : event ? Error{Errc::malformed, "worker protocol: no stream began"}
                                : event.error()});
    trial = trials_.erase(trial);
  }
  return std::nullopt;
}

}  // namespace vmcore::job
