// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/ready_image.h"

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>

#include "guest/config/capture_config.h"
#include "guest/image/capture_image.h"
#include "guest/image/cpio.h"
#include "guest/image/stale_image.h"
#include "guest/root/node.h"
#include "guest/root/read_config.h"
#include "guest/root/state_file.h"

namespace vmcore::guest::image {
namespace {

constexpr std::string_view kFailed = "/run/vmcore-guest/build-failed";
constexpr std::chrono::seconds kFirstWait = std::chrono::minutes(30);
constexpr std::chrono::seconds kLongestWait = std::chrono::hours(4);

// When the last build failed, as time since the boot, and how long a timer waits from then on.
struct Failure {
  std::chrono::seconds at;
  std::chrono::seconds wait;
};

std::optional<Failure> last_failure(const root::Root& root) {
  std::istringstream text(root.read(kFailed).value_or(""));
  std::int64_t at = 0;
  std::int64_t wait = 0;
  return text >> at >> wait
             ? std::optional(Failure{std::chrono::seconds(at), std::chrono::seconds(wait)})
             : std::nullopt;
}

void remember_failure(const root::Root& root, std::chrono::seconds now) {
  const auto before = last_failure(root);
  const auto wait = before ? std::min(2 * before->wait, kLongestWait) : kFirstWait;
  static_cast<void>(  // without it a timer tries again at its next tick
      root::write_state(root, kFailed, fmt::format("{} {}\n", now.count(), wait.count())));
}

Result<> build_at(const root::Root& root, const std::string& path, const BuildImage& build) {
  TRY(root::make_state_folder(root, root::parent_of(path)));
  return build(path);
}

// Most faults of an older image show at the next crash, but a dump that is unsealed, or sealed to
// another key, would be noticed too late.
bool still_serves(const root::Root& root, const std::string& path, std::string_view release) {
  const auto bytes = read_image(root, path);
  const auto wanted = root::read_config(root);
  if (!bytes || !wanted || !check_image(*bytes, release)) {
    return false;
  }
  const auto text = find_in_cpio(*bytes, config::kConfigFile.substr(1));
  const auto config =
      text ? config::parse_config(*text) : Result<config::CaptureConfig>(config::CaptureConfig());
  return config && config->encrypt_to == wanted->encrypt_to;
}

}  // namespace

std::string volatile_image_path(std::string_view release) {
  return fmt::format("{}/capture-{}.img", root::kRunFolder, release);
}

bool is_our_image(std::string_view path, std::string_view release) {
  return path == capture_image_path(release) || path == volatile_image_path(release);
}

Result<ReadyImage> ready_image(const root::Root& root, std::string_view release,
                               const BuildImage& build, std::chrono::seconds now) {
  const std::string kept = capture_image_path(release);
  const std::string in_memory = volatile_image_path(release);
  if (!is_stale(root, kept, release)) {
    return ReadyImage{kept, {}};
  }
  const Result<> built = build_at(root, kept, build);
  if (built) {
    root::remove_state(root, in_memory);
    root::remove_state(root, kFailed);
    return ReadyImage{kept, {}};
  }
  const Error& why = built.error();
  if (!is_stale(root, in_memory, release) || build_at(root, in_memory, build)) {
    remove_state(root, kFailed);
    return ReadyImage{
        in_memory,
        {{why.code, fmt::format("{} cannot be written ({}): {} is used until the next boot", kept,
                                why.message, in_memory)}}};
  }
  remember_failure(root, now);
  for (const std::string& older : std::array{kept, in_memory}) {
    if (still_serves(root, older, release)) {
      return ReadyImage{
          older,
          {{why.code,
            fmt::format("no new capture image could be built ({}): the older one is used, {}",
                        why.message, older)}},
          true};
    }
  }
  return tl::unexpected(why);
}

bool may_build_again(const root::Root& root, std::chrono::seconds now) {
  const auto failure = last_failure(root);
  return !failure || now >= failure->at + failure->wait;
}

}  // namespace vmcore::guest::image
