// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/link.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "src/acquire/libvirt/domain_deeds.h"
#include "src/acquire/libvirt/emulator.h"
#include "src/daemon/after_crash.h"

namespace vmcore::daemon {
namespace {

using acquire::DomainDeed;
using acquire::GuestEvent;
using std::chrono::seconds;
using Kind = GuestEvent::Kind;

constexpr seconds kLongestWait{60};
// Then others have their turn.
constexpr int kMostAtOnce = 256;

DomainDeed domain_deed(GuestDeed deed) {
  switch (deed) {
    case GuestDeed::restart:
      return DomainDeed::restart;
    case GuestDeed::destroy:
      return DomainDeed::destroy;
    case GuestDeed::resume:
      return DomainDeed::resume;
    case GuestDeed::nmi:
      return DomainDeed::nmi;
  }
  return DomainDeed::resume;
}

bool is_embedded(const std::string& uri) {
  return uri.substr(0, uri.find('?')).ends_with("/embed");
}

}  // namespace

Result<std::unique_ptr<LibvirtLink>> LibvirtLink::start(Loop& loop, const std::string& uri,
                                                        SourceEvents events) {
  if (is_embedded(uri)) {
    return fail(Errc::unsupported,
                "{} belongs to one process, and vmcored runs a process for each crash: give the "
                "URI of a libvirt daemon",
                uri);
  }
  std::unique_ptr<LibvirtLink> link(new LibvirtLink(loop, uri, std::move(events)));
  link->connect();
  return link;
}

LibvirtLink::~LibvirtLink() {
  loop_.cancel(retry_);
  drop();
}

void LibvirtLink::connect() {
  // Shared: what a std::function holds can be copied.
  using Opened = std::shared_ptr<Result<Events>>;
  loop_.in_background<Opened>(
      [uri = uri_] { return std::make_shared<Result<Events>>(acquire::events_of_libvirt(uri)); },
      [this, alive = std::weak_ptr(alive_)](const Opened& opened) {
        if (!alive.expired()) {
          connected(std::move(*opened));
        }
      });
}

void LibvirtLink::connected(Result<Events> events) {
  if (!events) {
    lost(events.error().message);
    return;
  }
  events_ = *std::move(events);
  wait_ = seconds(1);
  told_.clear();
  tell_.on_note(fmt::format("connected to libvirt at {}", uri_), false);
  loop_.watch(events_->fd(), [this] { read_events(); });
  learn_traits();
  // Else a dump would wait for that while its guest is down.
  loop_.in_background<int>(
      [uri = uri_] {
        acquire::let_libvirt_learn_emulator(uri);
        return 0;
      },
      [](int) {});
  read_found();
}

// Closing a connection may block, as opening one does.
void LibvirtLink::drop() {
  if (events_ == nullptr) {
    return;
  }
  loop_.forget(events_->fd());
  loop_.in_background<int>(
      [events = std::make_shared<Events>(std::move(events_))] {
        events->reset();
        return 0;
      },
      [](int) {});
}

void LibvirtLink::lost(const std::string& why) {
  drop();
  if (why != std::exchange(told_, why)) {
    tell_.on_note(why + "; vmcored tries again", true);
  }
  retry_ = loop_.after(wait_, [this] { connect(); });
  wait_ = std::min(wait_ * 2, kLongestWait);
}

void LibvirtLink::read_events() {
  for (int i = 0; i < kMostAtOnce && events_ != nullptr; ++i) {
    const auto event = events_->next();
    if (!event) {
      return;
    }
    if (event->kind != Kind::connection_lost) {
      take(*event);
      continue;
    }
    for (const auto& [uuid, guest] : std::map(guests_)) {
      tell_.on_event(guest, *event);
    }
    lost(fmt::format("the connection to libvirt at {} is lost: {}", uri_, event->details));
  }
}

void LibvirtLink::read_found() {
  std::map<std::string, GuestId> before = std::exchange(guests_, {});
  std::optional<GuestEvent> event = events_->next();
  for (; event && event->found; event = events_->next()) {
    before.erase(event->uuid);
    take(*event);
  }
  for (const auto& [uuid, guest] : before) {
    tell_.on_event(guest, {.kind = Kind::stopped, .name = guest.name, .uuid = uuid, .found = true});
  }
  tell_.on_listed(uri_);
  if (event && event->kind == Kind::connection_lost) {
    lost(fmt::format("the connection to libvirt at {} is lost: {}", uri_, event->details));
  } else if (event) {
    take(*event);
    read_events();
  }
}

GuestId LibvirtLink::id_of(const GuestEvent& event) const {
  return {.from = uri_, .name = event.name, .uuid = event.uuid};
}

void LibvirtLink::take(const GuestEvent& event) {
  const GuestId guest = id_of(event);
  guests_[event.uuid] = guest;
  if (event.kind == Kind::started) {
    std::erase_if(traits_, [this](const auto& one) { return !guests_.contains(one.first); });
  }
  if (!event.found && event.kind != Kind::reset && event.kind != Kind::stopped) {
    learn_traits();
  }
  tell_.on_event(guest, event);
  if (event.kind == Kind::stopped) {
    guests_.erase(event.uuid);
  }
}

void LibvirtLink::learn_traits() {
  learn_again_ = learning_;
  if (std::exchange(learning_, true)) {
    return;
  }
  loop_.in_background<Result<Traits>>(
      [uri = uri_] { return acquire::crash_traits(uri); },
      [this, alive = std::weak_ptr(alive_)](Result<Traits> traits) {
        if (alive.expired()) {
          return;
        }
        learning_ = false;
        if (traits) {
          traits->merge(traits_);  // of one that has just ended, they still matter
          traits_ = *std::move(traits);
        }
        if (learn_again_) {
          learn_traits();
        }
      });
}

bool LibvirtLink::has(const GuestId& guest) const { return guest.from == uri_; }

Result<LentGuest> LibvirtLink::lend(const GuestId& guest) {
  const auto traits = traits_.find(guest.uuid);
  LentGuest lent{.words = {"-c", uri_, "--name", guest.name},
                 .can_send = traits != traits_.end() && traits->second.dump_channel};
  if (guest.name.starts_with('-')) {  // it would be read as an option
    lent.words = {"-c", uri_, guest.uuid};
  }
  return lent;
}

void LibvirtLink::act(const GuestId& guest, GuestDeed deed, bool only_if_stopped,
                      std::function<void(Result<>)> done) {
  loop_.in_background<Result<>>(
      [uri = uri_, uuid = guest.uuid, what = domain_deed(deed), only_if_stopped] {
        return acquire::do_to_domain(uri, uuid, what, only_if_stopped);
      },
      std::move(done));
}

std::optional<acquire::ProcessKey> LibvirtLink::process_of(const GuestId& guest) {
  return acquire::process_of_domain(uri_, guest.name, guest.uuid);
}

std::optional<config::AfterCrash> LibvirtLink::wanted_after_crash(const GuestId& guest) {
  const auto traits = traits_.find(guest.uuid);
  return traits == traits_.end() ? std::nullopt : after_crash_of(traits->second.on_crash);
}

std::vector<config::Setting> LibvirtLink::asked_policy(const GuestId& guest) {
  const auto traits = traits_.find(guest.uuid);
  return traits == traits_.end() ? std::vector<config::Setting>{} : traits->second.asked;
}

}  // namespace vmcore::daemon
