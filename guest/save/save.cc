// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/save.h"

#include <fcntl.h>

#include <cerrno>

#include "guest/save/encrypted_memory.h"
#include "guest/save/heartbeat_memory.h"
#include "guest/save/target_kinds.h"
#include "src/base/process.h"
#include "src/base/sys.h"
#include "src/formats/byte_source.h"
#include "src/formats/elf/reader.h"

namespace vmcore::guest::save {
namespace {

// The exit statuses of a child.
enum : int { kComplete = 0, kNothing = 1, kIncomplete = 3 };

Result<MemoryImage> open_vmcore(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    if (errno == ENOENT && path == kVmcore) {
      return fail(Errc::not_found, "{} does not exist: this is not a capture kernel", path);
    }
    return fail_errno(errno, path);
  }
  // /proc/vmcore is an ELF file. Supporting other formats would add their codecs to init.
  auto image = formats::open_plain(std::move(file)).and_then(formats::open_elf);
  return image ? std::move(image) : in_context(std::move(image).error(), path);
}

// Reports the messages of the crash; the saved dmesg has all others.
void report_crash(const CrashReport& report, const Say& say) {
  say(fmt::format("Linux {} crashed: {}", report.release.empty() ? "(unknown)" : report.release,
                  report.reason.empty() ? "its log does not show why" : report.reason));
  for (std::size_t begin = 0; begin < report.stack.size();) {
    const std::size_t end = std::min(report.stack.find('\n', begin), report.stack.size());
    say("| " + report.stack.substr(begin, end - begin));
    begin = end + 1;
  }
}

void report_remarks(const std::vector<Remark>& remarks, const Say& say) {
  for (const Remark& remark : remarks) {
    say(fmt::format("{}: {}", remark_label(remark), remark.text));
  }
}

Result<Saved> try_target(const config::Target& target, const std::string& vmcore,
                         const config::CaptureConfig& config, bool first, const Say& say,
                         const Heartbeat& heartbeat) {
  TRY_ASSIGN(const TargetKind* const kind, find_target(target.kind));
  std::function<void()> on_reading;
  TRY_ASSIGN(MemoryImage image, open_vmcore(vmcore));
  image.memory = std::make_unique<HeartbeatMemory>(std::move(image.memory), heartbeat, on_reading);
  const CrashReport report = read_crash(image);
  heartbeat();
  if (first) {
    report_crash(report, say);
    report_remarks(report.remarks, say);
  }
  return kind->save(target.where, {.image = image,
                                   .report = report,
                                   .config = config,
                                   .say = say,
                                   .heartbeat = heartbeat,
                                   .on_reading = on_reading,
                                   .encryption = memory_encryption()});
}

// Runs in the child.
int run_target(const config::Target& target, const std::string& vmcore,
               const config::CaptureConfig& config, bool first, const Say& say_line,
               const Heartbeat& heartbeat) {
  // A slow console may take its time for each of many lines.
  const Say say = [&](std::string_view line) {
    say_line(line);
    heartbeat();
  };
  // If memory runs out, the kernel kills this process and not its parent.
  be_killed_first();
  const auto saved = try_target(target, vmcore, config, first, say, heartbeat);
  if (!saved) {
    say(fmt::format("{}: {}", target.kind, saved.error().message));
    return kNothing;
  }
  report_remarks(saved->outcome.remarks, say);
  const bool all = !saved->outcome.incomplete;
  say(fmt::format("{}: saved {} MiB of pages to {}{}", target.kind,
                  saved->outcome.plan.kept_pages >> 8, saved->place,
                  all ? "" : "; some pages could not be read"));
  return all ? kComplete : kIncomplete;
}

}  // namespace

SaveEnd save_crash(const std::string& vmcore, const config::CaptureConfig& config,
                   const Limits& limits, const Say& say) {
  bool first = true;
  SaveEnd failed = SaveEnd::nothing;
  for (const config::Target& target : config.targets) {
    const auto code = supervise(
        [&](const Heartbeat& heartbeat) {
          return run_target(target, vmcore, config, first, say, heartbeat);
        },
        limits);
    first = false;
    if (!code) {
      say(fmt::format("{}: {}", target.kind, code.error().message));
    } else if (*code == kComplete || *code == kIncomplete) {
      return *code == kComplete ? SaveEnd::complete : SaveEnd::incomplete;
    }
    if (limits.deadline && Clock::now() >= *limits.deadline) {
      break;
    }
    if (!code) {
      failed = SaveEnd::died;
    }
  }
  return failed;
}

}  // namespace vmcore::guest::save
