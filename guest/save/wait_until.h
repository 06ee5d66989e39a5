// Waiting for what nobody tells: devices that come, a carrier, a listener.
#pragma once

#include <chrono>
#include <functional>

namespace vmcore::guest::save {

// Asks each 50 ms, once at least, until the condition holds or the time is over; whether it came to
// that. `meanwhile` is called after each look in vain.
bool wait_until(
    const std::function<bool()>& condition, std::chrono::seconds patience,
    const std::function<void()>& meanwhile = [] {});

}  // namespace vmcore::guest::save
