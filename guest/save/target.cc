// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/target.h"

namespace vmcore::guest::save {
namespace {

// A capture kernel has little memory: a window needs one MiB for each 32 GiB, and 3 MiB. The pages
// of the kernel log in a window are written before its other pages.
constexpr std::uint64_t kWindow = std::uint64_t{128} << 30;

// Reports every few seconds, and the end.
class Progress final : public convert::Observer {
 public:
  Progress(const Crash& crash, const std::function<void()>& log_written)
      : crash_(crash), log_written_(log_written) {}

  void progress(std::uint64_t done, std::uint64_t all) override {
    crash_.heartbeat();
    const Clock::time_point now = Clock::now();
    if (done != all && now < next_) {
      return;
    }
    next_ = now + std::chrono::seconds(5);
    crash_.say(fmt::format("saved {} of {} MiB", done >> 8, all >> 8));
  }
  void source_read() override {}
  void log_written() override {
    if (log_written_) {
      log_written_();
    }
    crash_.heartbeat();
  }

 private:
  const Crash& crash_;
  const std::function<void()>& log_written_;
  Clock::time_point next_{};
};

}  // namespace

Result<convert::Outcome> write_dump(formats::DumpWriter& writer, const Crash& crash,
                                    const DumpSteps& steps) {
  convert::ConvertOptions options;
  options.how.level = crash.config.level;
  options.window = kWindow;
  options.search = kernel::Search::registers;
  options.capture =
      Capture{.method = "capture-kernel", .consistency = "stopped", .tag = crash.config.tag};
  Progress progress(crash, steps.log_written);
  if (!steps.check_room) {
    return convert::convert(crash.image, writer, options, progress, {});
  }
  const auto checked = forecasting(writer, steps.codec, *crash.image.memory, steps.check_room);
  return convert::convert(crash.image, *checked, options, progress, {});
}

}  // namespace vmcore::guest::save
