#include "guest/save/target.h"

#include <algorithm>
#include <array>

namespace vmcore::guest {
namespace {

template <auto parse>
Result<> parses(const std::string& where) {
  const auto parsed = parse(where);
  return parsed ? Result<>() : tl::unexpected(parsed.error());
}
Result<> any(const std::string&) { return {}; }

constexpr std::array<TargetKind, 7> kTargets = {{
    {"port", save_to_port, any},
    {"vsock", save_to_vsock, parses<parse_vsock_port>},
    {"ssh", save_to_ssh, parses<parse_ssh_destination>},
    {"tcp", save_to_tcp, parses<parse_endpoint>},
    {"file", save_to_folder, parses<parse_file_place>},
    {"raw", save_to_device, check_raw_name},
    {"output", save_to_file, any},
}};

// Memory is what a capture kernel lacks most: a window takes one MiB for each 32 GiB, and 3 MiB.
// The pages of the log, wherever they lie in it, are written before all others of it.
constexpr std::uint64_t kWindow = std::uint64_t{128} << 30;

// Told every few seconds, or at a tenth.
class Progress final : public convert::Observer {
 public:
  Progress(const Crash& crash, const std::function<void()>& log_written)
      : crash_(crash), log_written_(log_written) {}

  void progress(std::uint64_t done, std::uint64_t all) override {
    crash_.beat();
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
    crash_.beat();
  }

 private:
  const Crash& crash_;
  const std::function<void()>& log_written_;
  Clock::time_point next_{};
};

}  // namespace

const TargetKind* find_target(std::string_view kind) {
  const auto* const found = std::ranges::find(kTargets, kind, &TargetKind::kind);
  return found == kTargets.end() ? nullptr : found;
}

Result<convert::Outcome> write_dump(formats::DumpWriter& writer, const Crash& crash,
                                    const std::function<void()>& log_written) {
  convert::ConvertOptions options;
  options.how.level = crash.config.level;
  options.window = kWindow;
  options.search = kernel::Search::registers;
  options.capture =
      Capture{.method = "capture-kernel", .consistency = "stopped", .tag = crash.config.tag};
  Progress progress(crash, log_written);
  return convert::convert(crash.image, writer, options, progress, {});
}

std::uint64_t room_wanted(const MemoryImage& image) {
  constexpr std::uint64_t kLeast = 32U << 20;
  return std::max(kLeast, ram_ranges(*image.memory).size() / 32);
}

}  // namespace vmcore::guest
