// SPDX-License-Identifier: GPL-2.0-or-later
// The progress line on a terminal; nothing in a pipe.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "src/job/convert_job.h"

namespace vmcore::cli {

// What the line says. Its clock is the caller's.
class ProgressText {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `verb`: what is done with a stream: "read", "received".
  explicit ProgressText(std::string verb) : verb_(std::move(verb)) {}

  // The bytes that a stream will have.
  void expect(std::uint64_t bytes) { stream_bytes_ = bytes; }
  // That guest stands still from now on; none does any more.
  void paused(std::string guest, Time now);
  void runs() { paused_.clear(); }
  void take(const sandbox::Event& event, Time now);

  // "vm1 paused 3.2 s, 1.0 GiB of 4.0 GiB read, 410.0 MiB/s"; empty: nothing is known yet.
  std::string text(Time now) const;

 private:
  std::string amount(Time now) const;

  std::string verb_;
  std::string paused_;  // the guest that is
  Time paused_since_{};
  std::optional<Time> begun_;
  std::uint64_t stream_bytes_ = 0;  // zero: not known
  std::uint64_t done_ = 0;          // bytes
  std::uint64_t all_ = 0;           // of them; zero: of a stream
};

// Draws on standard error if that is a terminal and `quiet` is not set; the line is erased with the
// object. It is drawn again while nothing happens, as long as a guest stands still.
class ProgressLine {
 public:
  explicit ProgressLine(bool quiet, std::string verb = "read");
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // To hand to a job; borrows this object.
  job::OnProgress callback();
  void expect(std::uint64_t bytes);
  void paused(const std::string& guest);
  void runs();

 private:
  void draw();

  bool shown_;
  bool drawn_ = false;
  std::mutex mutex_;  // of all above and below
  ProgressText text_;
  std::jthread clock_;  // while a guest stands still
};

}  // namespace vmcore::cli
