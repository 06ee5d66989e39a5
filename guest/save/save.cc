#include "guest/save/save.h"

#include <fcntl.h>

#include <cerrno>

#include "guest/save/beating_memory.h"
#include "guest/save/encrypted_memory.h"
#include "guest/save/target.h"
#include "src/base/sys.h"
#include "src/formats/byte_source.h"
#include "src/formats/elf/reader.h"

namespace vmcore::guest {
namespace {

// What a child exits with.
enum : int { kComplete = 0, kNothing = 1, kIncomplete = 3 };

Result<MemoryImage> open_vmcore(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    if (errno == ENOENT && path == kVmcore) {
      return fail(Errc::not_found, "{} is not there: this is not a capture kernel", path);
    }
    return fail_errno(errno, path);
  }
  // That is what a kernel shows; other formats would only bring their codecs along.
  auto image = formats::open_plain(std::move(file)).and_then(formats::open_elf);
  return image ? std::move(image) : in_context(std::move(image).error(), path);
}

// The crash's own messages; all others are in the dmesg that is saved.
void tell_crash(const CrashReport& report, const Say& say) {
  say(fmt::format("Linux {} crashed: {}", report.release.empty() ? "(unknown)" : report.release,
                  report.reason.empty() ? "its log does not tell why" : report.reason));
  for (std::size_t begin = 0; begin < report.stack.size();) {
    const std::size_t end = std::min(report.stack.find('\n', begin), report.stack.size());
    say("| " + report.stack.substr(begin, end - begin));
    begin = end + 1;
  }
}

void tell_remarks(const std::vector<Remark>& remarks, const Say& say) {
  for (const Remark& remark : remarks) {
    say(fmt::format("{}: {}", remark_label(remark), remark.text));
  }
}

Result<Saved> try_target(const Target& target, const std::string& vmcore,
                         const CaptureConfig& config, bool first, const Say& say,
                         const Beat& beat) {
  const TargetKind* const kind = find_target(target.kind);
  if (kind == nullptr) {
    return fail(Errc::invalid, "there is no such kind of target");
  }
  std::function<void()> on_reading;
  TRY_ASSIGN(MemoryImage image, open_vmcore(vmcore));
  image.memory = std::make_unique<BeatingMemory>(std::move(image.memory), beat, on_reading);
  const CrashReport report = read_crash(image);
  beat();
  if (first) {
    tell_crash(report, say);
    tell_remarks(report.remarks, say);
  }
  return kind->save(target.where, {.image = image,
                                   .report = report,
                                   .config = config,
                                   .say = say,
                                   .beat = beat,
                                   .on_reading = on_reading,
                                   .encryption = memory_encryption()});
}

// In the child.
int run_target(const Target& target, const std::string& vmcore, const CaptureConfig& config,
               bool first, const Say& say_line, const Beat& beat) {
  // A console may take its time for each of many lines.
  const Say say = [&](std::string_view line) {
    say_line(line);
    beat();
  };
  // Whatever needs memory while this has too much: not the process that waits for it.
  const Fd score(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  static_cast<void>(sys::write_full(score.get(), std::as_bytes(std::span("1000", 4))));
  const auto saved = try_target(target, vmcore, config, first, say, beat);
  if (!saved) {
    say(fmt::format("{}: {}", target.kind, saved.error().message));
    return kNothing;
  }
  tell_remarks(saved->outcome.remarks, say);
  const bool all = !saved->outcome.incomplete;
  say(fmt::format("{}: {} MiB of pages are in {}{}", target.kind,
                  saved->outcome.plan.kept_pages >> 8, saved->place,
                  all ? "" : ", but some could not be read"));
  return all ? kComplete : kIncomplete;
}

}  // namespace

SaveEnd save_crash(const std::string& vmcore, const CaptureConfig& config, const Limits& limits,
                   const Say& say) {
  bool first = true;
  SaveEnd failed = SaveEnd::nothing;
  for (const Target& target : config.targets) {
    const auto code = supervise(
        [&](const Beat& beat) { return run_target(target, vmcore, config, first, say, beat); },
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

}  // namespace vmcore::guest
