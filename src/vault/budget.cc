// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/budget.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "src/vault/crash_id.h"

namespace vmcore::vault {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

// Estimates may sum up to more than 64 bits hold.
__extension__ using Sum = unsigned __int128;

std::uint64_t percent_of(std::uint64_t whole, unsigned percent) {
  return whole / 100 * percent + whole % 100 * percent / 100;
}

std::uint64_t distance(std::uint64_t one, std::uint64_t other) {
  return one > other ? one - other : other - one;
}

struct Use {
  Sum bytes = 0;
  std::uint64_t count = 0;
  std::string uuid = {};  // of the guest
};

class Chooser {
 public:
  Chooser(std::span<const Stored> stored, const Space& space, const std::optional<Wanted>& wanted)
      : stored_(stored.begin(), stored.end()), space_(space), wanted_(wanted) {
    std::ranges::sort(stored_, {}, &Stored::number);
    mark();
    if (wanted) {
      add(wanted->guest, wanted->bytes);
    }
    total_.bytes += space.promised;
  }

  void apply(const Budget& budget, std::uint64_t now) {
    if (budget.age) {
      remove_older(static_cast<std::uint64_t>(budget.age->count()), now);
    }
    limit_guests(budget);
    if (budget.count) {
      limit("the number of crashes", {}, false, [&] { return total_.count > *budget.count; });
    }
    if (const auto most = bytes_of(budget)) {
      limit("the bytes of the store", {}, true, [&] { return total_.bytes > *most; });
    }
    if (const auto left = left_free(budget)) {
      limit("the free space of the file system", {}, true, [&] {
        return Sum{*left} + (wanted_ ? wanted_->bytes : 0) + space_.promised > freed_ + space_.free;
      });
    }
  }

  Choice choice() && { return std::move(choice_); }

 private:
  // Finds out what each crash is to the others.
  void mark() {
    std::set<std::string> signatures;
    for (std::size_t i = 0; i < stored_.size(); ++i) {
      const Stored& crash = stored_[i];
      const bool newest = i + 1 == stored_.size();
      may_go_.push_back(!crash.held && !crash.busy && !newest);
      first_.push_back(crash.full && !crash.signature.empty() &&
                       signatures.insert(crash.signature).second);
      add(crash.guest, crash.bytes);
      if (!crash.uuid.empty()) {
        by_guest_[crash.guest].uuid = crash.uuid;
      }
    }
  }

  void add(const GuestKey& guest, std::uint64_t bytes) {
    for (Use* use : {&total_, &by_guest_[guest]}) {
      use->bytes += bytes;
      ++use->count;
    }
  }

  static Sum use_of(const Use& use, bool by_bytes) { return by_bytes ? use.bytes : use.count; }

  std::optional<std::uint64_t> bytes_of(const Budget& budget) const {
    if (!budget.bytes && !budget.share) {
      return std::nullopt;
    }
    return std::min(budget.bytes.value_or(kMost),
                    budget.share ? percent_of(space_.total, *budget.share) : kMost);
  }

  // A dump that is wanted needs its own room in any case.
  std::optional<std::uint64_t> left_free(const Budget& budget) const {
    if (!budget.free_bytes && !budget.free_share && !wanted_) {
      return std::nullopt;
    }
    return std::max(budget.free_bytes.value_or(0),
                    percent_of(space_.total, budget.free_share.value_or(0)));
  }

  void remove(std::size_t index) {
    const Stored& crash = stored_[index];
    may_go_[index] = false;
    for (Use* use : {&total_, &by_guest_[crash.guest]}) {
      use->bytes -= crash.bytes;
      --use->count;
    }
    freed_ += crash.bytes;
    choice_.remove.push_back(crash.id);
  }

  // A clock that was set back makes nothing old.
  void remove_older(std::uint64_t age, std::uint64_t now) {
    for (std::size_t i = 0; i < stored_.size(); ++i) {
      if (may_go_[i] && stored_[i].time < now && now - stored_[i].time > age) {
        remove(i);
      }
    }
  }

  // The oldest of the guest that takes most; a first full dump only where there is nothing else.
  std::optional<std::size_t> victim(const std::optional<GuestKey>& guest, bool by_bytes) const {
    std::optional<std::size_t> found;
    const auto rank = [&](std::size_t i) {
      return std::pair(!first_[i], use_of(by_guest_.at(stored_[i].guest), by_bytes));
    };
    for (std::size_t i = 0; i < stored_.size(); ++i) {
      const bool in_scope = may_go_[i] && (!guest || stored_[i].guest == *guest);
      if (in_scope && (!found || rank(i) > rank(*found))) {
        found = i;
      }
    }
    return found;
  }

  void limit(const std::string& what, const std::optional<GuestKey>& guest, bool by_bytes,
             const std::function<bool()>& exceeded) {
    if (!exceeded()) {
      return;
    }
    const Chooser before = *this;
    while (exceeded()) {
      const auto index = victim(guest, by_bytes);
      if (!index) {
        if (wanted_) {
          *this = before;  // nothing goes in vain
        }
        choice_.exceeded = choice_.exceeded.empty() ? what : choice_.exceeded;
        return;
      }
      remove(*index);
    }
  }

  void limit_guests(const Budget& budget) {
    for (const auto& of_guest : std::map(by_guest_)) {
      const GuestKey& guest = of_guest.first;
      const GuestLimits most = budget.limits_of(guest.name, of_guest.second.uuid);
      if (most.count) {
        limit(fmt::format("the number of crashes of {}", guest.name), guest, false,
              [&] { return by_guest_[guest].count > *most.count; });
      }
      if (most.bytes) {
        limit(fmt::format("the bytes of {}", guest.name), guest, true,
              [&] { return by_guest_[guest].bytes > *most.bytes; });
      }
    }
  }

  std::vector<Stored> stored_;  // the oldest first
  Space space_;
  std::optional<Wanted> wanted_;
  std::vector<bool> may_go_;
  std::vector<bool> first_;  // the first full dump of its signature
  Use total_;
  std::map<GuestKey, Use> by_guest_;
  Sum freed_ = 0;
  Choice choice_;
};

}  // namespace

GuestKey guest_of(const report::Manifest& manifest) {
  return {.name = manifest.capture.guest.name, .from = manifest.from};
}

Stored stored_of(const report::ListedCrash& crash) {
  Stored stored{.id = crash.id,
                .number = number_of(crash.id).value_or(0),
                .bytes = crash.bytes,
                .held = crash.state.held};
  if (crash.manifest) {
    stored.time = crash.manifest->time;
    stored.guest = guest_of(*crash.manifest);
    stored.uuid = crash.manifest->capture.guest.uuid;
    stored.signature = strong_signature(crash.manifest->signature);
    stored.dumped = crash.manifest->dump.has_value();
    stored.full = stored.dumped && crash.manifest->complete && crash.damage.empty();
  }
  return stored;
}

std::string strong_signature(const report::CrashSignature& signature) {
  return signature.weak ? std::string() : signature.exact;
}

Choice choose(std::span<const Stored> stored, const Budget& budget, const Space& space,
              const std::optional<Wanted>& wanted, std::uint64_t now) {
  Chooser chooser(stored, space, wanted);
  chooser.apply(budget, now);
  return std::move(chooser).choice();
}

MemoryVerdict should_keep_memory(std::span<const Stored> stored, const std::string& signature,
                                 const GuestKey& guest, std::uint64_t now,
                                 const MemoryPolicy& policy) {
  // On either side of now: a clock may have been set back.
  const auto is_within = [&](const Stored& crash, std::chrono::seconds window) {
    return distance(crash.time, now) < static_cast<std::uint64_t>(window.count());
  };
  const auto of_guest = [&](const Stored& crash) { return crash.guest == guest; };
  const auto of_signature = [&](const Stored& crash) {
    return !signature.empty() && crash.signature == signature;
  };
  const auto dumps_of = [&](auto is_one) {
    return static_cast<std::uint64_t>(std::ranges::count_if(stored, [&](const Stored& crash) {
      return crash.dumped && is_one(crash) && is_within(crash, policy.rate_window);
    }));
  };
  const bool repeats = std::ranges::any_of(stored, [&](const Stored& crash) {
    return crash.full && of_guest(crash) && of_signature(crash) &&
           is_within(crash, policy.repeat_window);
  });
  if (repeats) {
    return {false, "it repeats a crash of which the memory is kept"};
  }
  if (dumps_of(of_guest) >= policy.guest_most) {
    return {false, fmt::format("{} crashes of this guest were dumped in the last {} s",
                               policy.guest_most, policy.rate_window.count())};
  }
  if (dumps_of(of_signature) >= policy.signature_most) {
    return {false, fmt::format("{} crashes of this kind were dumped in the last {} s",
                               policy.signature_most, policy.rate_window.count())};
  }
  return {};
}

}  // namespace vmcore::vault
