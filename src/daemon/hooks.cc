// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/hooks.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "src/base/ownership.h"
#include "src/base/pipe.h"
#include "src/base/printable.h"
#include "src/base/sys.h"
#include "src/staging/staged_folder.h"

namespace vmcore::daemon {
namespace {

constexpr std::size_t kMostWaiting = 1000;
constexpr std::size_t kMostLines = 50;
constexpr std::size_t kMostOfLine = 400;

// Letters of names: what editors and packages leave behind has others.
bool is_hook_name(const std::string& name) {
  constexpr std::string_view kOthers = "-_.";
  const auto is_right = [&](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || kOthers.find(letter) != std::string_view::npos;
  };
  return !name.starts_with('.') && std::ranges::all_of(name, is_right) &&
         name.find(".dpkg-") == std::string::npos && name.find(".rpm") == std::string::npos;
}

Result<> check_runs(const struct stat& status, const std::filesystem::path& program) {
  if (!S_ISREG(status.st_mode)) {
    return fail(Errc::invalid, "it is not a regular file");
  }
  if ((status.st_mode & S_IXUSR) == 0) {
    return fail(Errc::invalid, "it is not executable (chmod +x)");
  }
  return check_ours(status, program);
}

Result<Fd> open_hook_folder(const std::filesystem::path& folder) {
  TRY_ASSIGN(Fd open, staging::open_folder_at(AT_FDCWD, folder, "."));
  struct stat status {};
  if (::fstat(open.get(), &status) != 0) {
    return fail_errno(errno, folder.native());
  }
  if (Result<> ours = check_ours(status, folder); !ours) {
    return in_context(std::move(ours).error(), "no hook runs");
  }
  return open;
}

// What the child needs between fork and exec, where it may not allocate.
struct Command {
  std::string path;
  std::vector<std::string> environment;
  std::array<char*, 2> words{};
  std::vector<char*> variables;
  std::optional<HookUser> user;
};

Command command_of(const HookSettings& settings, const std::string& name, const HookCrash& crash) {
  Command command{
      .path = (settings.folder / name).native(),
      .environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                      "LANG=C.UTF-8", "VMCORECTL_CRASH=" + crash.id,
                      "VMCORECTL_FOLDER=" + crash.folder},
      .variables = {},
      .user = settings.user};
  return command;
}

bool limit(__rlimit_resource_t what, rlim_t most) {
  const rlimit both{most, most};
  return ::setrlimit(what, &both) == 0;
}

// Children of theirs count, too; a hook is a script that calls a mailer.
bool limit_all() {
  return limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, 64U << 20) && limit(RLIMIT_NOFILE, 256) &&
         limit(RLIMIT_AS, 1U << 30) && limit(RLIMIT_MEMLOCK, 0);
}

bool become(const HookUser& user) {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(user.gid, user.gid, user.gid) == 0 &&
         ::setresuid(user.uid, user.uid, user.uid) == 0;
}

// Those that this program opened close by themselves; a library's may not.
void close_others() {
  constexpr int kMostBefore59 = 1024;  // close_range(2) is of Linux 5.9
  if (::syscall(SYS_close_range, 3U, ~0U, 0U) != 0) {
    for (int fd = 3; fd < kMostBefore59; ++fd) {
      ::close(fd);
    }
  }
}

bool default_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  for (int number = 1; number < NSIG; ++number) {
    ::signal(number, SIG_DFL);
  }
  return ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

// In the child. Only async-signal-safe calls. 126: it could not be confined.
int run_hook(const Command& command, int input, int output) {
  const bool ready = ::setsid() > 0 && ::dup2(input, 0) == 0 && ::dup2(output, 1) == 1 &&
                     ::dup2(output, 2) == 2 && default_signals() && limit_all() &&
                     (!command.user || become(*command.user)) &&
                     ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                     ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::chdir("/") == 0;
  ::umask(077);
  close_others();
  if (!ready) {
    return 126;
  }
  ::execve(command.path.c_str(), command.words.data(), command.variables.data());
  return kExecFailed;
}

// Memory, so that nobody waits for a hook that does not read.
Result<Fd> input_of(const std::string& manifest) {
  Fd file(::memfd_create("manifest", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) {
    return fail_errno(errno, "a file in memory for a hook");
  }
  TRY(sys::pwrite_full(file.get(), std::as_bytes(std::span(manifest)), 0));
  ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK);
  return file;
}

// The first lines of what a hook prints; the rest is read and dropped.
class Output {
 public:
  void add(std::string_view text) {
    for (const char letter : text) {
      if (letter == '\n') {
        end_line();
      } else if (line_.size() < kMostOfLine) {
        line_ += letter;
      }
    }
  }

  std::vector<std::string> take() {
    if (!line_.empty()) {
      end_line();
    }
    return std::exchange(lines_, {});
  }

 private:
  void end_line() {
    if (lines_.size() < kMostLines) {
      lines_.push_back(printable(line_));
    } else if (lines_.size() == kMostLines) {
      lines_.emplace_back("(more was printed)");
    }
    line_.clear();
  }

  std::string line_;
  std::vector<std::string> lines_;
};

}  // namespace

// The hooks of one crash.
class Hooks::Run {
 public:
  Run(const HookSettings& settings, HookCrash crash, int events)
      : settings_(settings), crash_(std::move(crash)), events_(events) {
    HookPrograms found = find_hooks(settings_.folder);
    std::ranges::copy_if(found.names, std::back_inserter(names_), [this](const std::string& name) {
      return std::ranges::find(crash_.ended, name) == crash_.ended.end();
    });
    for (HookEnd& refused : found.refused) {
      tell(std::move(refused));
    }
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() { kill_group(); }

  const std::string& crash() const { return crash_.id; }

  // Goes on as far as that is possible now; false when no hook is left.
  bool step(std::vector<HookEnd>& ended) {
    while (true) {
      if (process_.pid() < 0 && !start_next()) {
        std::ranges::move(told_, std::back_inserter(ended));
        return false;
      }
      if (process_.pid() > 0 && !look()) {
        std::ranges::move(std::exchange(told_, {}), std::back_inserter(ended));
        return true;
      }
    }
  }

 private:
  void tell(HookEnd end) {
    end.crash = crash_.id;
    told_.push_back(std::move(end));
  }

  bool start_next() {
    if (names_.empty()) {
      return false;
    }
    name_ = std::move(names_.front());
    names_.pop_front();
    if (const Result<> started = start(); !started) {
      process_ = {};
      tell({.program = name_, .how = started.error().message});
    }
    return true;
  }

  Result<> watch(int fd) const {
    epoll_event event{.events = EPOLLIN, .data = {}};
    if (::epoll_ctl(events_, EPOLL_CTL_ADD, fd, &event) != 0) {
      return fail_errno(errno, "epoll_ctl");
    }
    return {};
  }

  Result<> start() {
    output_ = {};
    killed_ = false;
    TRY_ASSIGN(const Fd input, input_of(crash_.manifest));
    TRY_ASSIGN(Pipe ends, make_pipe());
    pipe_ = std::move(ends.out);
    const Fd output = std::move(ends.in);
    // Only our end: a hook does not expect a standard output that refuses to wait.
    ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
    Command command = command_of(settings_, name_, crash_);
    command.words[0] = command.path.data();
    for (std::string& variable : command.environment) {
      command.variables.push_back(variable.data());
    }
    command.variables.push_back(nullptr);
    TRY_ASSIGN(process_,
               Process::start([&] { return run_hook(command, input.get(), output.get()); }));
    return watch_it();
  }

  Result<> watch_it() {
    TRY_ASSIGN(exit_, open_pidfd(process_.pid()));
    timer_ = Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(settings_.limit);
    const std::chrono::nanoseconds rest = settings_.limit - seconds;
    const itimerspec when{.it_interval = {}, .it_value = {seconds.count(), rest.count()}};
    if (!timer_ || ::timerfd_settime(timer_.get(), 0, &when, nullptr) != 0) {
      return fail_errno(errno, "watching a hook");
    }
    TRY(watch(exit_.get()));
    TRY(watch(timer_.get()));
    return watch(pipe_.get());
  }

  // Of the running hook; true if it has ended.
  bool look() {
    read_output();
    std::uint64_t expirations = 0;
    if (::read(timer_.get(), &expirations, sizeof(expirations)) > 0) {
      killed_ = true;
      kill_group();
    }
    siginfo_t info{};
    const auto id = static_cast<id_t>(process_.pid());
    if (::waitid(P_PID, id, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) {
      return false;
    }
    end();
    return true;
  }

  // What it has printed so far. A pipe that has ended would be readable for ever.
  void read_output() {
    std::array<char, 4096> buffer{};
    ssize_t got = 0;
    // Bounded: a hook that prints without end does not keep the service here.
    for (int i = 0; pipe_ && i < 64; ++i) {
      got = ::read(pipe_.get(), buffer.data(), buffer.size());
      if (got <= 0) {
        break;
      }
      output_.add({buffer.data(), static_cast<std::size_t>(got)});
    }
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
      pipe_.reset();
    }
  }

  // Before it is reaped: until then its number is nobody else's.
  void kill_group() const {
    if (process_.pid() > 0) {
      ::kill(-process_.pid(), SIGKILL);
      process_.kill();  // it may have no group yet
    }
  }

  void end() {
    kill_group();
    read_output();
    const Result<int> status = process_.wait();
    const bool done = status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
    tell({.program = name_,
          .done = done && !killed_,
          .how = killed_  ? fmt::format("killed after {:g} s", seconds_of(settings_.limit))
                 : status ? ending(*status)
                          : status.error().message,
          .output = output_.take()});
    process_ = {};
    pipe_.reset();
    exit_.reset();
    timer_.reset();
  }

  static double seconds_of(std::chrono::milliseconds time) {
    return static_cast<double>(time.count()) / 1000;
  }

  HookSettings settings_;
  HookCrash crash_;
  int events_;
  std::deque<std::string> names_;  // that are to run
  std::string name_;               // of the one that runs
  Process process_;
  Fd pipe_;   // what it prints
  Fd exit_;   // its pidfd
  Fd timer_;  // when its time is over
  bool killed_ = false;
  Output output_;
  std::vector<HookEnd> told_;
};

Result<HookUser> find_hook_user(const std::string& name) {
  std::vector<char> buffer(1U << 16);
  passwd entry{};
  passwd* found = nullptr;
  const int error = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (error != 0) {
    return fail_errno(error, "the user " + name);
  }
  if (found == nullptr) {
    return fail(Errc::not_found, "there is no user {}: write another hook-user, or add the user",
                printable(name));
  }
  return HookUser{found->pw_uid, found->pw_gid};
}

HookPrograms find_hooks(const std::filesystem::path& folder) {
  HookPrograms programs;
  if (folder.empty()) {
    return programs;
  }
  const auto open = open_hook_folder(folder);
  auto names = open ? staging::names_in(open->get(), folder) : tl::unexpected(open.error());
  if (!names) {
    if (names.error().code != Errc::not_found) {
      programs.refused.push_back({.how = names.error().message});
    }
    return programs;
  }
  std::erase_if(*names, [](const std::string& name) { return !is_hook_name(name); });
  std::ranges::sort(*names);
  for (const std::string& name : *names) {
    struct stat status {};
    const Result<> runs = ::fstatat(open->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0
                              ? fail_errno(errno, name)
                              : check_runs(status, folder / name);
    if (runs) {
      programs.names.push_back(name);
    } else {
      programs.refused.push_back({.program = name, .how = runs.error().message});
    }
  }
  return programs;
}

Result<Hooks> Hooks::create(HookSettings settings) {
  Fd events(::epoll_create1(EPOLL_CLOEXEC));
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event{.events = EPOLLIN, .data = {}};
  if (!events || !wake || ::epoll_ctl(events.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return fail_errno(errno, "epoll");
  }
  return Hooks(std::move(settings), std::move(events), std::move(wake));
}

Hooks::Hooks(HookSettings settings, Fd events, Fd wake)
    : settings_(std::move(settings)), events_(std::move(events)), wake_(std::move(wake)) {}
Hooks::Hooks(Hooks&&) noexcept = default;
Hooks& Hooks::operator=(Hooks&&) noexcept = default;
Hooks::~Hooks() = default;

void Hooks::wake() const { ::eventfd_write(wake_.get(), 1); }

void Hooks::start(HookCrash crash) {
  if (settings_.folder.empty()) {
    over_.push_back(std::move(crash.id));
    wake();
    return;
  }
  waiting_.push_back(std::move(crash));
  if (waiting_.size() > kMostWaiting) {
    over_.push_back(waiting_.front().id);
    ended_.push_back(
        {.crash = waiting_.front().id,
         .how = fmt::format("no hook ran: {} later crashes wait for hooks", kMostWaiting)});
    waiting_.pop_front();
  }
  wake();
}

void Hooks::begin_waiting() {
  while (!waiting_.empty() && runs_.size() < settings_.at_once) {
    runs_.push_back(std::make_unique<Run>(settings_, std::move(waiting_.front()), events_.get()));
    waiting_.pop_front();
    if (!runs_.back()->step(ended_)) {
      over_.push_back(runs_.back()->crash());
      runs_.pop_back();
    }
  }
}

std::vector<HookEnd> Hooks::step() {
  eventfd_t ignored = 0;
  ::eventfd_read(wake_.get(), &ignored);
  std::erase_if(runs_, [&](const std::unique_ptr<Run>& run) {
    const bool goes_on = run->step(ended_);
    if (!goes_on) {
      over_.push_back(run->crash());
    }
    return !goes_on;
  });
  begin_waiting();
  return std::exchange(ended_, {});
}

bool Hooks::idle() const { return runs_.empty() && waiting_.empty() && ended_.empty(); }

}  // namespace vmcore::daemon
