// SPDX-License-Identifier: GPL-2.0-or-later
// Metrics: what the service counts, as a text file that Prometheus' node_exporter collects
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
//
// Counters continue from the values of the file. The file is not trusted: lines that this program
// would not write are ignored.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "src/base/result.h"

namespace vmcore::daemon {

// What became of the memory of a crash.
enum class DumpOutcome : std::uint8_t {
  kept,
  incomplete,  // kept, and parts are missing
  left_out,    // by a budget, on purpose
  lost,
};

// What takes time, from the crash on; but for the pause.
enum class Took : std::uint8_t { to_flash, to_dump, to_running, pause };

// The distribution of a time.
class Histogram {
 public:
  // Upper limits in seconds.
  static constexpr std::array kLimits{0.1,  0.25, 0.5,  1.0,   2.5,  5.0,
                                      10.0, 30.0, 60.0, 300.0, 900.0};
  // How many were below each limit; the last one counts all.
  using Counts = std::array<std::uint64_t, kLimits.size() + 1>;

  void add(double seconds);
  // As a file has it; leaves this as it is if that cannot be.
  void restore(const Counts& below, double sum);
  Counts below() const;
  double sum() const { return sum_; }

 private:
  Counts in_{};  // between two limits
  double sum_ = 0;
};

class Metrics {
 public:
  // Signatures and reasons that have a series of their own; all others together are "other".
  static constexpr std::size_t kMostSignatures = 50;
  static constexpr std::size_t kMostReasons = 10;

  void count_crash(const std::string& reason, const std::string& signature,
                   std::uint64_t times = 1);
  // `bytes`: of the dump that was kept.
  void count_dump(DumpOutcome outcome, std::uint64_t bytes);
  void count_hook(bool done);
  void took(Took what, std::chrono::microseconds time);
  void set_store(std::uint64_t bytes, std::uint64_t crashes);
  void set_armed(std::uint64_t guests);

  std::string text() const;
  // Goes on with the counters of such a text.
  void restore(std::string_view text);

 private:
  void restore_crashes(std::string_view labels, std::uint64_t value);
  std::string bounded(const std::string& value, bool is_reason) const;

  std::map<std::pair<std::string, std::string>, std::uint64_t> crashes_;  // reason, signature
  std::array<std::uint64_t, 4> dumps_{};                                  // by DumpOutcome
  std::uint64_t dump_bytes_ = 0;
  std::array<std::uint64_t, 2> hooks_{};  // failed, done
  std::array<Histogram, 4> times_{};      // by Took
  std::uint64_t store_bytes_ = 0;
  std::uint64_t store_crashes_ = 0;
  std::uint64_t armed_ = 0;
};

// The counters of the file; none where it is not there, is no regular file, or has more than 1 MiB.
Metrics read_metrics(const std::filesystem::path& file);

// Replaces the file as a whole, mode 0644. It is not synced: nobody waits for the disk.
Result<> write_metrics(const Metrics& metrics, const std::filesystem::path& file);

}  // namespace vmcore::daemon
