// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/config/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

namespace vmcore::config {
namespace {

constexpr std::pair<std::string_view, AfterCrash> kAfterCrash[] = {
    {"as-domain", AfterCrash::as_domain}, {"restart", AfterCrash::restart},
    {"destroy", AfterCrash::destroy},     {"preserve", AfterCrash::preserve},
    {"resume", AfterCrash::resume},
};

constexpr std::pair<std::string_view, OnHang> kOnHang[] = {
    {"report", OnHang::report}, {"nmi", OnHang::nmi}, {"dump", OnHang::dump}};

constexpr std::string_view kMayBeAsked[] = {"arm",   "after-crash", "on-hang",
                                            "level", "store-size",  "store-count"};

// `place`: where the value of an owner is, const or not.
template <class Owner, class Kind, class Place>
Key<Owner> key(std::string_view name, Kind kind, Place place) {
  return {name, kind.what(),
          [=](Owner& owner, const Written& written) { return kind.read(written, place(owner)); },
          [=](const Owner& owner) { return kind.show(place(owner)); }};
}

template <class Kind, class Place>
Key<Config> of_config(std::string_view name, Kind kind, Place place) {
  return key<Config>(name, kind, place);
}

template <class Kind, class Place>
Key<GuestPolicy> of_guest(std::string_view name, Kind kind, Place place) {
  return key<GuestPolicy>(name, kind, place);
}

// The number of letters to change, add or leave out.
std::size_t distance(std::string_view one, std::string_view other) {
  std::vector<std::size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < other.size(); ++j) {
      const std::size_t same = diagonal + (one[i] == other[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({same, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::span<const Key<Config>> service_keys() {
  static const std::array kKeys{
      of_config("connect", Uris(), [](auto& c) -> auto& { return c.uris; }),
      of_config("qmp-folders", Folders(), [](auto& c) -> auto& { return c.qmp_folders; }),
      of_config("dumps", Whole{1, 64}, [](auto& c) -> auto& { return c.dumps; }),
      of_config("hooks", Path{.or_none = true}, [](auto& c) -> auto& { return c.hooks; }),
      of_config("hook-limit", Duration(), [](auto& c) -> auto& { return c.hook_limit; }),
      of_config("hook-user", User(), [](auto& c) -> auto& { return c.hook_user; }),
      of_config("metrics", Path{.or_none = true}, [](auto& c) -> auto& { return c.metrics; }),
  };
  return kKeys;
}

std::span<const Key<Config>> store_keys() {
  static const std::array kKeys{
      of_config("folder", Path(), [](auto& c) -> auto& { return c.store; }),
      of_config("max-size", Size(), [](auto& c) -> auto& { return c.budget.bytes; }),
      of_config("max-share", Share(), [](auto& c) -> auto& { return c.budget.share; }),
      of_config("keep-free", Size(), [](auto& c) -> auto& { return c.budget.free_bytes; }),
      of_config("keep-free-share", Share(), [](auto& c) -> auto& { return c.budget.free_share; }),
      of_config("max-count", Count(), [](auto& c) -> auto& { return c.budget.count; }),
      of_config("max-age", Age(), [](auto& c) -> auto& { return c.budget.age; }),
  };
  return kKeys;
}

std::span<const Key<GuestPolicy>> guest_keys() {
  constexpr Whole kRate{1, 1'000'000};
  static const std::array kKeys{
      of_guest("arm", Flag(), [](auto& g) -> auto& { return g.arm; }),
      of_guest("after-crash", Word<AfterCrash>{kAfterCrash},
               [](auto& g) -> auto& { return g.after_crash; }),
      of_guest("on-hang", Word<OnHang>{kOnHang}, [](auto& g) -> auto& { return g.on_hang; }),
      of_guest("level", Whole{0, 31}, [](auto& g) -> auto& { return g.level; }),
      of_guest("kdump-limit", Duration(), [](auto& g) -> auto& { return g.kdump_limit; }),
      of_guest("dump-limit", Duration(), [](auto& g) -> auto& { return g.dump_limit; }),
      of_guest("repeat-window", Duration(),
               [](auto& g) -> auto& { return g.memory.repeat_window; }),
      of_guest("rate-window", Duration(), [](auto& g) -> auto& { return g.memory.rate_window; }),
      of_guest("guest-rate", kRate, [](auto& g) -> auto& { return g.memory.guest_most; }),
      of_guest("signature-rate", kRate, [](auto& g) -> auto& { return g.memory.signature_most; }),
      of_guest("store-size", Size(), [](auto& g) -> auto& { return g.store.bytes; }),
      of_guest("store-count", Count(), [](auto& g) -> auto& { return g.store.count; }),
  };
  return kKeys;
}

bool may_be_asked(std::string_view guest_key) {
  return std::ranges::find(kMayBeAsked, guest_key) != std::end(kMayBeAsked);
}

std::string_view nearest(std::span<const std::string_view> names, std::string_view wrong) {
  std::string_view best;
  std::size_t least = wrong.size() / 2 + 1;  // more than half of it differs: it is another word
  for (const std::string_view name : names) {
    if (wrong.size() <= 64 && distance(name, wrong) < least) {
      best = name;
      least = distance(name, wrong);
    }
  }
  return best;
}

std::string what_instead(std::span<const std::string_view> names, std::string_view wrong) {
  const std::string_view near = nearest(names, wrong);
  return near.empty() ? fmt::format("write one of {}", fmt::join(names, ", "))
                      : fmt::format("write {}", near);
}

}  // namespace vmcore::config
