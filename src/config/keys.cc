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

// The owner's wish is not known where this counts.
constexpr std::span kAfterCrashDefault = std::span(kAfterCrash).subspan<1>();

constexpr std::pair<std::string_view, OnHang> kOnHang[] = {
    {"report", OnHang::report}, {"nmi", OnHang::nmi}, {"dump", OnHang::dump}};

constexpr std::string_view kMayBeAsked[] = {"arm",   "after-crash", "on-hang",
                                            "level", "store-size",  "store-count"};

// `place`: where the value of an owner is, const or not.
template <class Owner, class Kind, class Place>
Key<Owner> key_at(std::string_view name, Kind kind, Place place) {
  return {name, kind.what(),
          [=](Owner& owner, const Written& written) { return kind.read(written, place(owner)); },
          [=](const Owner& owner) { return kind.show(place(owner)); }};
}

template <class Kind, class Owner, class Value>
Key<Owner> key(std::string_view name, Kind kind, Value Owner::*member) {
  return key_at<Owner>(
      name, kind, [=](auto& owner) -> auto& { return owner.*member; });
}

// Of a part of the owner.
template <class Kind, class Owner, class Part, class Value>
Key<Owner> key(std::string_view name, Kind kind, Part Owner::*part, Value Part::*member) {
  return key_at<Owner>(
      name, kind, [=](auto& owner) -> auto& { return owner.*part.*member; });
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

std::string_view after_crash_name(AfterCrash after) {
  for (const auto& [name, known] : kAfterCrash) {
    if (known == after) {
      return name;
    }
  }
  return "";
}

std::span<const Key<Config>> service_keys() {
  static const std::array kKeys{
      key("connect", Uris(), &Config::uris),
      key("qmp-folders", Paths{"/run/qmp"}, &Config::qmp_folders),
      key("dumps", Whole{1, 64}, &Config::dumps),
      key("memory", AutoSize(), &Config::memory),
      key("threads", AutoWhole{1, 256}, &Config::threads),
      key("hooks", Path{.or_none = true}, &Config::hooks),
      key("hook-limit", Duration(), &Config::hook_limit),
      key("hook-user", User(), &Config::hook_user),
      key("self-check", Flag(), &Config::self_check),
      key("scripts", Paths{"/etc/vmcorectl/first-look.crash"}, &Config::scripts),
      key("script-limit", Duration(), &Config::script_limit),
      key("metrics", Path{.or_none = true}, &Config::metrics),
  };
  return kKeys;
}

std::span<const Key<Config>> store_keys() {
  static const std::array kKeys{
      key("folder", Path(), &Config::store),
      key("max-size", Size(), &Config::budget, &vault::Budget::bytes),
      key("max-share", Share(), &Config::budget, &vault::Budget::share),
      key("keep-free", Size(), &Config::budget, &vault::Budget::free_bytes),
      key("keep-free-share", Share(), &Config::budget, &vault::Budget::free_share),
      key("max-count", Count(), &Config::budget, &vault::Budget::count),
      key("max-age", Age(), &Config::budget, &vault::Budget::age),
  };
  return kKeys;
}

std::span<const Key<GuestPolicy>> guest_keys() {
  constexpr Whole kRate{1, 1'000'000};
  static const std::array kKeys{
      key("arm", Flag(), &GuestPolicy::arm),
      key("after-crash", Word<AfterCrash>{kAfterCrash}, &GuestPolicy::after_crash),
      key("after-crash-default", Word<AfterCrash>{kAfterCrashDefault},
          &GuestPolicy::after_crash_default),
      key("on-hang", Word<OnHang>{kOnHang}, &GuestPolicy::on_hang),
      key("level", Whole{0, 31}, &GuestPolicy::level),
      key("kdump-limit", Duration(), &GuestPolicy::kdump_limit),
      key("dump-limit", Duration(), &GuestPolicy::dump_limit),
      key("repeat-window", Duration(), &GuestPolicy::memory, &vault::MemoryPolicy::repeat_window),
      key("rate-window", Duration(), &GuestPolicy::memory, &vault::MemoryPolicy::rate_window),
      key("guest-rate", kRate, &GuestPolicy::memory, &vault::MemoryPolicy::guest_most),
      key("signature-rate", kRate, &GuestPolicy::memory, &vault::MemoryPolicy::signature_most),
      key("store-size", Size(), &GuestPolicy::store, &vault::GuestLimits::bytes),
      key("store-count", Count(), &GuestPolicy::store, &vault::GuestLimits::count),
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
