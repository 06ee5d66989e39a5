// SPDX-License-Identifier: GPL-2.0-or-later
// Polls for conditions that no event reports: a device, a carrier, a listener.
#pragma once

#include <chrono>
#include <functional>

namespace vmcore::guest::save {

// Checks the condition every 50 ms, and at least once, until it holds or `patience` is over.
// Returns whether it holds. Calls `meanwhile` after each failed check.
bool wait_until(
    const std::function<bool()>& condition, std::chrono::seconds patience,
    const std::function<void()>& meanwhile = [] {});

}  // namespace vmcore::guest::save
