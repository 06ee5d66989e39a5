// SPDX-License-Identifier: GPL-2.0-or-later
// A small guest that crashed, for tests of targets.
#pragma once

#include <string>
#include <vector>

#include "guest/save/heartbeat_memory.h"
#include "guest/save/target.h"
#include "tests/builders/kernel_builder.h"

namespace vmcore::guest::save {

struct SavedGuest {
  SavedGuest() : SavedGuest(builder().build()) {}
  explicit SavedGuest(MemoryImage of) : image(std::move(of)), report(read_crash(image)) {
    image.memory =
        std::make_unique<HeartbeatMemory>(std::move(image.memory), heartbeat, on_reading);
  }

  static testing::GuestBuilder builder() {
    testing::GuestBuilder builder("6.12");
    builder.pages("2000 free 9\n2200 anon 4\n2210 cache\n2213 slab\n2700 kernel\n")
        .vmcoreinfo("CRASHTIME", "1763751093")
        .log(0, "Linux version test")
        .log(1'500'000'000, "Kernel panic - not syncing: test");
    return builder;
  }

  Crash crash() {
    return {image, report, config, say, heartbeat, on_reading, listener_wait, encryption};
  }

  std::function<void()> on_reading;
  Heartbeat heartbeat{Fd()};
  MemoryImage image;
  CrashReport report;
  config::CaptureConfig config;
  std::chrono::seconds listener_wait{1};
  std::string_view encryption;
  std::vector<std::string> said;
  Say say = [this](std::string_view line) { said.emplace_back(line); };
};

}  // namespace vmcore::guest::save
