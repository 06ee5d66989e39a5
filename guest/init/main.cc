// SPDX-License-Identifier: GPL-2.0-or-later
// init: the first process of a capture kernel. It mounts the file systems of the kernel, loads the
// modules of the image, saves the crash, and ends as configured. It continues after every error.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>

#include "guest/config/capture_config.h"
#include "guest/config/capture_image.h"
#include "guest/init/console.h"
#include "guest/init/load_modules.h"
#include "guest/init/report_memory.h"
#include "guest/save/save.h"
#include "guest/save/supervise.h"
#include "src/base/whole_file.h"

namespace vmcore::guest::init {
namespace {

void say(std::string_view line) {
  static Console console(STDERR_FILENO);
  console.say(line);
}

void mount_kernel_file_systems() {
  for (const char* const type : {"proc", "sysfs", "devtmpfs"}) {
    const std::string folder = type == std::string_view("proc")    ? "/proc"
                               : type == std::string_view("sysfs") ? "/sys"
                                                                   : "/dev";
    ::mkdir(folder.c_str(), 0755);
    ::mount(type, folder.c_str(), type, MS_NOSUID, nullptr);
  }
}

// Opens the console that the command line selects.
void open_console() {
  const int console = ::open("/dev/console", O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (console >= 0) {
    ::dup2(console, STDIN_FILENO);
    ::dup2(console, STDOUT_FILENO);
    ::dup2(console, STDERR_FILENO);
    if (console > STDERR_FILENO) {
      ::close(console);
    }
  }
}

// An invalid file does not stop the capture: the defaults send the dump to the host.
config::CaptureConfig read_config() {
  const std::string path(config::kConfigFile);
  const auto text = read_file(path);
  std::vector<Remark> faults;
  config::CaptureConfig config = config::parse_config_anyhow(text.value_or(""), faults);
  if (!text) {
    config.sealed_to_nobody = text.error().code != Errc::not_found;
    faults.push_back({text.error().code, text.error().message});
  }
  for (const Remark& fault : faults) {
    say(fmt::format("{}: {}", path, fault.text));
  }
  for (const Remark& remark :
       config::apply_command_line(config, read_file("/proc/cmdline").value_or(""))) {
    say(fmt::format("kernel command line: {}", remark.text));
  }
  return config;
}

int run_in_child(void (*work)(), std::chrono::seconds limit) {
  const auto code = save::supervise(
      [&](const save::Heartbeat&) {
        work();
        return 0;
      },
      {.silence = limit});
  if (!code) {
    say(code.error().message);
  }
  return code.value_or(1);
}

// Only the host can still save this crash: `vmcorectl dump --crash-guest` dumps the guest from
// outside after 60 seconds without data.
void wait_for_host(std::optional<save::Clock::time_point> deadline) {
  constexpr std::chrono::seconds kHold{90};
  say(fmt::format("waiting {} s for the host to dump this guest from outside", kHold.count()));
  const save::Clock::time_point until = save::Clock::now() + kHold;
  std::this_thread::sleep_until(deadline ? std::min(*deadline, until) : until);
}

[[noreturn]] void end(config::EndAction action) {
  // A disk that does not respond must not block the end.
  run_in_child([] { ::sync(); }, std::chrono::seconds(30));
  if (action == config::EndAction::shell && ::access("/bin/sh", X_OK) == 0) {
    ::fcntl(STDIN_FILENO, F_SETFL, O_RDWR);  // a shell needs a blocking input
    ::execl("/bin/sh", "sh", nullptr);
  }
  if (action == config::EndAction::shell) {
    say("the capture image has no /bin/sh");
  }
  ::reboot(static_cast<int>(action == config::EndAction::poweroff ? RB_POWER_OFF
                            : action == config::EndAction::halt   ? RB_HALT_SYSTEM
                                                                  : RB_AUTOBOOT));
  ::reboot(RB_AUTOBOOT);
  for (;;) {
    ::pause();
  }
}

[[noreturn]] void run() {
  std::signal(SIGPIPE, SIG_IGN);  // write(2) reports a broken connection itself
  mount_kernel_file_systems();
  open_console();
  const config::CaptureConfig config = read_config();
  std::optional<save::Clock::time_point> deadline;
  if (config.deadline.count() != 0) {
    deadline = save::Clock::now() + config.deadline;
  }
  run_in_child([] { load_modules(std::string(config::kModuleFolder), say); },
               std::chrono::seconds(60));
  const save::SaveEnd saved = save::save_crash(save::kVmcore, config, {.deadline = deadline}, say);
  say(saved == save::SaveEnd::complete     ? "the crash is saved"
      : saved == save::SaveEnd::incomplete ? "the crash is saved, but the dump is incomplete"
                                           : "the crash could not be saved");
  report_memory(say);
  const config::EndAction action =
      saved == save::SaveEnd::complete ? config.on_success : config.on_failure;
  const bool leaves = action == config::EndAction::reboot || action == config::EndAction::poweroff;
  if (saved == save::SaveEnd::died && leaves) {
    wait_for_host(deadline);
  }
  if (saved == save::SaveEnd::complete && config.reboot_after.count() != 0) {
    say(fmt::format("rebooting in {} s", config.reboot_after.count()));
    ::sync();
    std::this_thread::sleep_for(config.reboot_after);
  }
  end(action);
}

}  // namespace
}  // namespace vmcore::guest::init

// In place of libstdc++'s, which brings a demangler of 48 KiB into the image to name an exception
// that nobody catches.
namespace __gnu_cxx {
void __verbose_terminate_handler() { std::abort(); }
}  // namespace __gnu_cxx

int main() {
  if (::getpid() != 1) {
    std::fputs("vmcore-guest-init: only a capture kernel can start this program\n", stderr);
    return 2;
  }
  vmcore::guest::init::run();
}
