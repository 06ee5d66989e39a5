// SPDX-License-Identifier: GPL-2.0-or-later
// What a worker can do that a guest has taken over: each attempt is made by a process of its own,
// after the real confinement, which is for good.
#include "src/sandbox/confine.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "src/base/pipe.h"
#include "src/base/process.h"
#include "src/base/whole_file.h"
#include "src/sandbox/bounds.h"
#include "src/sandbox/calls.h"

namespace vmcore::sandbox {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// One job of each kind that makes calls of its own.
const std::vector<Request>& jobs() {
  static const std::vector<Request> all{
      {.operation = Operation::log},
      {.operation = Operation::info},
      {.operation = Operation::convert},
      {.operation = Operation::convert, .input = FetchedInput{}},
      {.operation = Operation::report, .input = LiveInput{}},
      {.operation = Operation::convert, .input = ProcessInput{}},
      {.operation = Operation::convert, .input = StreamInput{}},
      {.operation = Operation::convert, .input = SnapshotInput{}},
      {.operation = Operation::convert, .input = GuestStreamInput{}}};
  return all;
}

// The status of a child that does so.
int status_of(const std::function<int()>& does) {
  auto child = Process::start(does);
  EXPECT_TRUE(child);
  return *child->wait();
}

constexpr int kNotConfined = 99;

// The same after the confinement of that job.
int confined(const Request& job, const std::function<int()>& does) {
  return status_of([&] {
    Confinement confinement(false);
    const bool done = confinement.begin() && confinement.narrow(job, 0);
    return done ? does() : kNotConfined;
  });
}

bool exited_with(int status, int code) { return WIFEXITED(status) && WEXITSTATUS(status) == code; }

#ifdef VMCORECTL_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// One try: 0 where it succeeded, else an error number.
struct Escape {
  const char* name;
  std::function<long()> attempt;
};

long call(long number, auto... arguments) {
  return ::syscall(number, arguments...) < 0 ? errno : 0;
}

const pid_t kOther = ::getpid();  // of the process that runs the tests
const int kRam = ::memfd_create("ram", 0);

std::uint64_t of(const void* address) { return reinterpret_cast<std::uint64_t>(address); }

std::vector<Escape> escapes() {
  static const std::string reopened = fmt::format("/proc/self/fd/{}", kRam);
  static const std::string memory = fmt::format("/proc/{}/mem", kOther);
  static char byte = 0;
  static iovec here{&byte, 1};
  static iovec there{const_cast<int*>(&kRam), 1};
  static rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  static char* words[] = {const_cast<char*>("true"), nullptr};
  static std::array<std::uint64_t, 11> clone_arguments{};
  clone_arguments[4] = SIGCHLD;  // struct clone_args: exit_signal
  static std::array<std::uint64_t, 30> room{};
  std::vector<Escape> all{
      {"a TCP socket", [] { return call(SYS_socket, AF_INET, SOCK_STREAM, 0); }},
      {"a TCP socket, IPv6", [] { return call(SYS_socket, AF_INET6, SOCK_STREAM, 0); }},
      {"a UDP socket", [] { return call(SYS_socket, AF_INET, SOCK_DGRAM, 0); }},
      {"a UNIX socket", [] { return call(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }},
      {"a vsock socket", [] { return call(SYS_socket, AF_VSOCK, SOCK_STREAM, 0); }},
      {"a netlink socket", [] { return call(SYS_socket, AF_NETLINK, SOCK_RAW, 0); }},
      {"a packet socket", [] { return call(SYS_socket, AF_PACKET, SOCK_RAW, 0); }},
      {"two sockets", [] { return call(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, room.data()); }},
      {"connect", [] { return call(SYS_connect, 3, room.data(), 16); }},
      {"bind", [] { return call(SYS_bind, 3, room.data(), 16); }},
      {"sendto with a name", [] { return call(SYS_sendto, 3, &byte, 1, 0, room.data(), 16); }},
      {"clone3", [] { return call(SYS_clone3, clone_arguments.data(), 64); }},
      {"clone as fork does", [] { return call(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
      {"clone with a namespace",
       [] { return call(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }},
      {"clone as vfork does",
       [] { return call(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0); }},
      {"unshare users", [] { return call(SYS_unshare, CLONE_NEWUSER); }},
      {"unshare networks", [] { return call(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNET); }},
      {"setns", [] { return call(SYS_setns, kRam, 0); }},
      {"io_uring", [] { return call(SYS_io_uring_setup, 8, room.data()); }},
      {"aio", [] { return call(SYS_io_setup, 8, room.data()); }},
      {"execve", [] { return call(SYS_execve, "/bin/true", words, words + 1); }},
      {"execveat of a memory file",
       [] { return call(SYS_execveat, kRam, "", words, words + 1, AT_EMPTY_PATH); }},
      {"a signal to all", [] { return call(SYS_kill, -1, 0); }},
      {"a signal to another", [] { return call(SYS_kill, kOther, 0); }},
      {"tgkill of another", [] { return call(SYS_tgkill, kOther, kOther, 0); }},
      {"tkill of another", [] { return call(SYS_tkill, kOther, 0); }},
      {"a queued signal", [] { return call(SYS_rt_sigqueueinfo, kOther, SIGUSR1, room.data()); }},
      {"pidfd_open", [] { return call(SYS_pidfd_open, kOther, 0); }},
      {"pidfd_send_signal", [] { return call(SYS_pidfd_send_signal, kRam, 0, 0, 0); }},
      {"pidfd_getfd", [] { return call(SYS_pidfd_getfd, kRam, 0, 0); }},
      {"signals by a descriptor", [] { return call(SYS_fcntl, kRam, F_SETOWN, kOther); }},
      {"truncate", [] { return call(SYS_truncate, "/tmp", 0); }},
      {"openat", [] { return call(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY); }},
      {"openat for writing", [] { return call(SYS_openat, AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR); }},
      {"openat2", [] { return call(SYS_openat2, AT_FDCWD, "/etc/passwd", room.data(), 24); }},
      {"guest RAM, reopened for writing",
       [] { return call(SYS_openat, AT_FDCWD, reopened.c_str(), O_RDWR); }},
      {"open by a handle", [] { return call(SYS_open_by_handle_at, kRam, room.data(), 0); }},
      {"stat of a path", [] { return call(SYS_newfstatat, AT_FDCWD, "/etc", room.data(), 0); }},
      {"statx of a path", [] { return call(SYS_statx, AT_FDCWD, "/etc", 0, 0, room.data()); }},
      {"readlinkat", [] { return call(SYS_readlinkat, AT_FDCWD, "/proc/self", room.data(), 16); }},
      {"mkdirat", [] { return call(SYS_mkdirat, AT_FDCWD, "/tmp/escaped", 0700); }},
      {"unlinkat", [] { return call(SYS_unlinkat, AT_FDCWD, "/tmp/escaped", 0); }},
      {"renameat2", [] { return call(SYS_renameat2, AT_FDCWD, "/tmp/a", AT_FDCWD, "/tmp/b", 0); }},
      {"linkat", [] { return call(SYS_linkat, kRam, "", AT_FDCWD, "/tmp/a", AT_EMPTY_PATH); }},
      {"symlinkat", [] { return call(SYS_symlinkat, "a", AT_FDCWD, "/tmp/escaped"); }},
      {"fchmodat", [] { return call(SYS_fchmodat, AT_FDCWD, "/tmp", 0777); }},
      {"fchownat", [] { return call(SYS_fchownat, AT_FDCWD, "/tmp", 0, 0, 0); }},
      {"fchmod", [] { return call(SYS_fchmod, kRam, 0777); }},
      {"mknodat", [] { return call(SYS_mknodat, AT_FDCWD, "/tmp/escaped", S_IFIFO, 0); }},
      {"chdir", [] { return call(SYS_chdir, "/"); }},
      {"chroot", [] { return call(SYS_chroot, "/"); }},
      {"mount", [] { return call(SYS_mount, "none", "/tmp", "tmpfs", 0, 0); }},
      {"more memory", [] { return call(SYS_prlimit64, 0, RLIMIT_DATA, &unlimited, 0); }},
      {"longer files", [] { return call(SYS_setrlimit, RLIMIT_FSIZE, &unlimited); }},
      {"limits of another", [] { return call(SYS_prlimit64, kOther, RLIMIT_CPU, &unlimited, 0); }},
      {"memory of another process",
       [] { return call(SYS_process_vm_readv, kOther, &here, 1, &there, 1, 0); }},
      {"writing that", [] { return call(SYS_process_vm_writev, kOther, &here, 1, &there, 1, 0); }},
      {"/proc/PID/mem", [] { return call(SYS_openat, AT_FDCWD, memory.c_str(), O_RDONLY); }},
      {"ptrace", [] { return call(SYS_ptrace, PTRACE_SEIZE, kOther, 0, 0); }},
      {"code in memory",
       [] {
         return call(SYS_mmap, nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0);
       }},
      {"code where data was",
       [] { return call(SYS_mprotect, of(room.data()) & ~4095ULL, 4096, PROT_READ | PROT_EXEC); }},
      {"setresuid", [] { return call(SYS_setresuid, 0, 0, 0); }},
      {"capset", [] { return call(SYS_capset, room.data(), 0); }},
      {"prctl", [] { return call(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); }},
      {"a filter of its own", [] { return call(SYS_seccomp, 1, 0, room.data()); }},
      {"bpf", [] { return call(SYS_bpf, 0, room.data(), 48); }},
      {"perf_event_open", [] { return call(SYS_perf_event_open, room.data(), 0, -1, -1, 0); }},
      {"userfaultfd", [] { return call(SYS_userfaultfd, O_CLOEXEC); }},
      {"keys", [] { return call(SYS_keyctl, 0, -3, 0); }},
      {"System V shared memory", [] { return call(SYS_shmget, 0, 4096, 0600); }},
      {"System V messages", [] { return call(SYS_msgget, 0, 0600); }},
      {"a message queue", [] { return call(SYS_mq_open, "a", O_RDWR | O_CREAT, 0600, 0); }},
      {"inotify", [] { return call(SYS_inotify_init1, 0); }},
      {"splice", [] { return call(SYS_splice, 0, 0, 1, 0, 1, 0); }},
      {"sendfile", [] { return call(SYS_sendfile, 1, kRam, 0, 1); }},
      {"an ioctl of terminals", [] { return call(SYS_ioctl, 2, 0x5412, &byte); }},
      {"dup", [] { return call(SYS_dup, kRam); }},
      {"lasting settings of a descriptor", [] { return call(SYS_fcntl, kRam, F_SETFL, 0); }},
      {"a lease on a file", [] { return call(SYS_fcntl, kRam, F_SETLEASE, F_RDLCK); }},
      {"setpriority", [] { return call(SYS_setpriority, 0, 0, -20); }},
      {"sched_setscheduler", [] { return call(SYS_sched_setscheduler, 0, 1, room.data()); }},
      {"mlockall", [] { return call(SYS_mlockall, MCL_CURRENT); }},
      {"personality", [] { return call(SYS_personality, 0); }},
      {"sethostname", [] { return call(SYS_sethostname, "a", 1); }},
      {"kexec", [] { return call(SYS_kexec_load, 0, 0, 0, 0); }},
      {"a module", [] { return call(SYS_finit_module, kRam, "", 0); }},
      {"a call that is none", [] { return call(1000); }}};
#ifdef __x86_64__
  const std::vector<Escape> of_x86{
      {"fork", [] { return call(SYS_fork); }},
      {"vfork", [] { return call(SYS_vfork); }},
      {"open", [] { return call(SYS_open, "/etc/passwd", O_RDONLY); }},
      {"creat", [] { return call(SYS_creat, "/tmp/escaped", 0600); }},
      {"dup2", [] { return call(SYS_dup2, kRam, 9); }},
      {"a call of x32", [] { return call(0x40000000 | SYS_getpid); }},
      {"a call of i386", []() -> long {
         long result = 20;  // its getpid
         asm volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
         return result < 0 ? -result : 0;
       }}};
  all.insert(all.end(), of_x86.begin(), of_x86.end());
#endif
  return all;
}

TEST(Confine, NoEscapeSucceedsInAnyJob) {
  if (kSanitized) {
    GTEST_SKIP() << "sanitizers make calls of their own";
  }
  unsigned tried = 0;
  unsigned killed = 0;
  for (const Request& job : jobs()) {
    for (const Escape& escape : escapes()) {
      const int status =
          confined(job, [&] { return static_cast<int>(std::min(escape.attempt(), 90L)); });
      const bool by_filter = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
      // Two are answered (calls.h). A kernel without the i386 ABI has no such interrupt.
      const bool answered = exited_with(status, EACCES) || exited_with(status, ENOSYS) ||
                            (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
      EXPECT_TRUE(by_filter || answered) << escape.name << ": " << ending(status);
      ++tried;
      killed += by_filter ? 1 : 0;
    }
  }
  std::printf("%u escapes were tried, %u of them killed the process, the others were refused\n",
              tried, killed);
}

// What the filter does not know is no reason to die: threads, large memory, last words.
TEST(Confine, WhatTheLibrariesDoIsPermitted) {
  for (const Request& job : jobs()) {
    const int status = confined(job, [] {
      std::vector<std::thread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([] {
          for (std::size_t size = 1; size < (64U << 20); size *= 3) {
            std::vector<char> some(size, 'x');
            some.resize(2 * size);
            std::this_thread::yield();
          }
        });
      }
      for (std::thread& thread : threads) {
        thread.join();
      }
      return 0;
    });
    EXPECT_TRUE(exited_with(status, 0)) << ending(status);
  }
}

TEST(Confine, AnAbortIsAnAbort) {
  for (const Request& job : jobs()) {
    const int status = confined(job, []() -> int { std::abort(); });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << ending(status);
  }
}

TEST(Confine, OnlyJobsThatWriteFilesMakeThem) {
  if (kSanitized) {
    GTEST_SKIP() << "sanitizers make calls of their own";
  }
  const auto killed = [](const Request& job, long number) {
    const int status = confined(job, [&] { return static_cast<int>(call(number, -1, 0, 0, 0)); });
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
  };
  const Request info{.operation = Operation::info};
  const Request live{.operation = Operation::info, .input = LiveInput{}};
  const Request dump{.operation = Operation::convert};
  const Request snapshot{.operation = Operation::convert, .input = SnapshotInput{}};
  EXPECT_TRUE(killed(info, SYS_pwrite64));
  EXPECT_TRUE(killed(info, SYS_ftruncate));
  EXPECT_TRUE(killed(info, SYS_memfd_create));
  EXPECT_TRUE(killed(info, SYS_sendto));
  EXPECT_TRUE(killed(live, SYS_ftruncate));
  EXPECT_FALSE(killed(live, SYS_memfd_create));
  EXPECT_TRUE(killed(dump, SYS_fallocate));
  EXPECT_FALSE(killed(dump, SYS_pwrite64));
  EXPECT_FALSE(killed(snapshot, SYS_fallocate));
  EXPECT_TRUE(killed({.operation = Operation::log}, SYS_pread64));
}

bool limited(__rlimit_resource resource, rlim_t most) {
  rlimit value{};
  return ::getrlimit(resource, &value) == 0 && value.rlim_cur <= most && value.rlim_max <= most;
}

TEST(Confine, LeavesNoPower) {
  const bool was_root = ::geteuid() == 0;
  const int status = status_of([&] {
    const std::string path = "/proc/self/status";
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!Confinement(false).begin()) {
      return 1;
    }
    const std::string text = read_all(file.get(), path).value_or("");
    for (const char* const set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
      if (text.find(std::string(set) + ":\t0000000000000000\n") == std::string::npos) {
        return 2;
      }
    }
    if (::geteuid() == 0 || ::getuid() == 0 ||
        (was_root && (::getgid() == 0 || ::getgroups(0, nullptr) != 0))) {
      return 3;
    }
    if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
        ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) {
      return 4;
    }
    return limited(RLIMIT_CORE, 0) ? 0 : 5;
  });
  EXPECT_TRUE(exited_with(status, 0)) << ending(status);
}

TEST(Confine, EachWorkerHasAUserOfItsOwn) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root becomes somebody else";
  }
  const int status = status_of([] {
    return !Confinement(false).begin() || ::getuid() == 0 || ::getuid() == 65534 ? 1
           : ::kill(kOther, 0) == 0                                              ? 2
                                                                                 : 0;
  });
  EXPECT_TRUE(exited_with(status, 0)) << ending(status);
}

// Whoever started it may be killed at any time, and then nobody is left to end a worker that does
// not look at its channel any more.
TEST(Confine, NoWorkerOutlivesWhoStartedIt) {
  Pipe alive = *make_pipe();
  Pipe over = *make_pipe();
  const int status = status_of([&] {
    auto worker = Process::start([&] {
      over.in.reset();
      Confinement confinement(false);
      if (!confinement.begin() || !confinement.narrow({.operation = Operation::convert}, 0)) {
        return kNotConfined;
      }
      char byte = 'y';
      return ::write(alive.in.get(), &byte, 1) == 1 && ::read(over.out.get(), &byte, 1) == 0 ? 0
                                                                                             : 1;
    });
    alive.in.reset();
    char byte = 'n';
    const bool confined = ::read(alive.out.get(), &byte, 1) == 1;
    return confined ? ::kill(::getpid(), SIGKILL) : kNotConfined;
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << ending(status);
  alive.in.reset();
  pollfd end{alive.out.get(), 0, 0};
  constexpr int kPatience = 60'000;
  EXPECT_EQ(::poll(&end, 1, kPatience), 1) << "it lives on";
}

TEST(Confine, LeavesNoPath) {
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
    GTEST_SKIP() << "this kernel has no Landlock";
  }
  const int status = status_of([] {
    return Confinement(false).begin() && ::open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? errno
                                                                                         : 0;
  });
  EXPECT_TRUE(exited_with(status, EACCES)) << ending(status);
}

// What a file may be long, and memory be large.
TEST(Confine, FilesAndMemoryAreBounded) {
  const Request job{.operation = Operation::convert, .input = ProcessInput{}, .ram = 1ULL << 30};
  const Bounds bounds = bounds_of(job, 0);
  EXPECT_EQ(bounds.file, (1ULL << 30) + (1ULL << 24) + (1ULL << 30));
  EXPECT_LT(bounds.memory, 2ULL << 30);
  const int too_long = confined(
      job, [&] { return ::pwrite(kRam, "x", 1, static_cast<off_t>(bounds.file)) == 1 ? 0 : 1; });
  EXPECT_TRUE(WIFSIGNALED(too_long) && WTERMSIG(too_long) == SIGXFSZ) << ending(too_long);
  if (kSanitized) {
    return;
  }
  const int too_large = confined(job, [&] {
    return ::mmap(nullptr, bounds.memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                  0) == MAP_FAILED
               ? errno
               : 0;
  });
  EXPECT_TRUE(exited_with(too_large, ENOMEM)) << ending(too_large);
}

// A guest's RAM in a file comes opened for reading, and stays so.
TEST(Confine, RamThatIsGivenForReadingIsNotWritten) {
  const Fd ram(::open(fmt::format("/proc/self/fd/{}", kRam).c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::ftruncate(kRam, 4096), 0);
  const int status = confined({.operation = Operation::convert, .input = ProcessInput{}}, [&] {
    void* const at = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, ram.get(), 0);
    if (at == MAP_FAILED || ::mprotect(at, 4096, PROT_READ | PROT_WRITE) == 0 || errno != EACCES) {
      return 1;
    }
    if (::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ram.get(), 0) != MAP_FAILED ||
        errno != EACCES) {
      return 2;
    }
    return ::pwrite(ram.get(), "x", 1, 0) < 0 && errno == EBADF ? 0 : 3;
  });
  EXPECT_TRUE(exited_with(status, 0)) << ending(status);
}

// The limits of that name that the kernel tells of the process, one for what it does within them
// and one that it could raise that to.
std::string limits_of(pid_t pid, const std::string& name) {
  std::istringstream lines(*read_file(fmt::format("/proc/{}/limits", pid)));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name)) {
      std::istringstream words(line.substr(name.size()));
      std::string soft;
      std::string hard;
      words >> soft >> hard;
      return soft + " " + hard;
    }
  }
  return "";
}

// As the kernel has them, of each kind of job.
TEST(Confine, EachJobHasTheBoundsThatAreItsOwn) {
  for (Request job : jobs()) {
    job.ram = 1ULL << 30;
    Pipe ready = *make_pipe();
    Pipe over = *make_pipe();
    auto worker = Process::start([&] {
      over.in.reset();
      Confinement confinement(false);
      const bool done = confinement.begin() && confinement.narrow(job, 1U << 20);
      char byte = done ? 'y' : 'n';
      return ::write(ready.in.get(), &byte, 1) == 1 && ::read(over.out.get(), &byte, 1) == 0 ? 0
                                                                                             : 1;
    });
    char byte = 'n';
    ASSERT_EQ(::read(ready.out.get(), &byte, 1), 1);
    EXPECT_EQ(byte, 'y');
    const Bounds bounds = bounds_of(job, 1U << 20);
    const auto both = [](std::uint64_t most) { return fmt::format("{0} {0}", most); };
    EXPECT_EQ(limits_of(worker->pid(), "Max cpu time"), both(bounds.seconds));
    EXPECT_EQ(limits_of(worker->pid(), "Max file size"), both(bounds.file));
    EXPECT_EQ(limits_of(worker->pid(), "Max open files"), both(bounds.fds));
    EXPECT_EQ(limits_of(worker->pid(), "Max core file size"), both(0));
    if (!kSanitized) {
      EXPECT_EQ(limits_of(worker->pid(), "Max data size"), both(bounds.memory));
    }
    over.in.reset();
    EXPECT_TRUE(exited_with(*worker->wait(), 0));
  }
}

// A larger guest, or a larger file, has wider bounds; a text has narrow ones.
TEST(Bounds, FollowTheJob) {
  const Request text{.operation = Operation::info, .input = LiveInput{}, .ram = 64ULL << 30};
  const Request dump{.operation = Operation::convert, .input = ProcessInput{}, .ram = 64ULL << 30};
  EXPECT_LT(bounds_of(text, 0).file, 4ULL << 30);
  EXPECT_GT(bounds_of(dump, 0).file, 64ULL << 30);
  EXPECT_LT(bounds_of(text, 0).seconds, bounds_of(dump, 0).seconds);
  const Request file{.operation = Operation::convert};
  EXPECT_LT(bounds_of(file, 1 << 20).memory, bounds_of(file, 1ULL << 34).memory);
  EXPECT_LT(bounds_of(file, ~0ULL).memory, 1ULL << 36);  // nothing wraps
  EXPECT_GT(bounds_of(file, ~0ULL).file, kMaxPhysAddr - (1ULL << 20));
}

// A host where some calls fail: the filter that does so is set before the confinement.
void refuse(std::initializer_list<int> numbers, int error) {
  const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  for (const int number : numbers) {
    ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<std::uint16_t>(error)), number, 0);
  }
  ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
                     SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP, 0));
  ::seccomp_load(filter);
}

// What the confinement of a child told that did `before`: its remarks, or "refused: " and why.
std::string told(bool allow_weak, const std::function<void()>& before) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const Fd out(ends[0]);
  Fd in(ends[1]);
  status_of([&] {
    before();
    Confinement confinement(allow_weak);
    Result<> done = confinement.begin();
    if (done) {
      done = confinement.narrow({.operation = Operation::convert}, 0);
    }
    std::string text = done ? "" : "refused: " + done.error().message;
    for (const Remark& remark : confinement.remarks()) {
      text += std::string(remark_label(remark)) + ": " + remark.text + "\n";
    }
    return ::write(in.get(), text.data(), text.size()) < 0 ? 1 : 0;
  });
  in.reset();
  return read_all(out.get(), "pipe").value_or("");
}

TEST(Confine, WhatMustBeHadIsHadHere) {
  EXPECT_THAT(told(false, [] {}), Not(HasSubstr("cannot be confined")));
}

TEST(Confine, WithoutLandlockItIsARemark) {
  EXPECT_THAT(told(false, [] { refuse({SCMP_SYS(landlock_create_ruleset)}, ENOSYS); }),
              HasSubstr("note: vmcore-worker is confined without Landlock"));
}

TEST(Confine, WithoutSeccompTheJobIsRefused) {
  if (kSanitized) {
    GTEST_SKIP() << "sanitizers make calls of their own";
  }
  const auto none = [] { refuse({SCMP_SYS(seccomp)}, EPERM); };
  EXPECT_THAT(told(false, none), HasSubstr("refused: vmcore-worker cannot be confined"));
  EXPECT_THAT(told(false, none), HasSubstr("--allow-unconfined"));
  EXPECT_THAT(told(true, none), HasSubstr("warning: vmcore-worker cannot be confined: it may make "
                                          "any system call"));
}

TEST(Confine, CapabilitiesThatStayAreRefused) {
  const auto none = [] { refuse({SCMP_SYS(capset)}, EPERM); };
  EXPECT_THAT(told(false, none), HasSubstr("refused: vmcore-worker cannot be confined: it keeps "
                                           "capabilities"));
  EXPECT_THAT(told(true, none), HasSubstr("warning: vmcore-worker cannot be confined: it keeps "
                                          "capabilities"));
}

TEST(Confine, PrivilegesThatMayComeAreRefused) {
  const auto none = [] {
    const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
    ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
                       SCMP_A0(SCMP_CMP_EQ, PR_SET_NO_NEW_PRIVS, 0));
    ::seccomp_load(filter);
  };
  EXPECT_THAT(told(false, none), HasSubstr("refused: vmcore-worker cannot be confined: it may gain "
                                           "privileges"));
}

TEST(Confine, RootThatCannotBecomeAnotherIsRefused) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root becomes somebody else";
  }
  const auto none = [] { refuse({SCMP_SYS(setresuid)}, EPERM); };
  EXPECT_THAT(told(false, none), HasSubstr("refused: vmcore-worker cannot be confined: it stays "
                                           "root"));
  EXPECT_THAT(told(true, none), HasSubstr("warning: vmcore-worker cannot be confined: it stays "
                                          "root"));
}

// As in a container that has few users.
TEST(Confine, WithoutAUserOfItsOwnItIsNobody) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root becomes somebody else";
  }
  const auto few = [] {
    const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
    ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(setresgid), 1,
                       SCMP_A0(SCMP_CMP_GT, 65534, 0));
    ::seccomp_load(filter);
  };
  EXPECT_THAT(told(false, few), HasSubstr("note: vmcore-worker is confined without a user of its "
                                          "own"));
}

TEST(Confine, WithoutAUserNamespaceItIsARemark) {
  const auto none = [] {
    if (::geteuid() == 0) {
      static_cast<void>(::setresuid(65534, 65534, 65534) + 1);
    }
    refuse({SCMP_SYS(unshare)}, EPERM);
  };
  EXPECT_THAT(told(false, none), HasSubstr("note: vmcore-worker is confined without a user "
                                           "namespace of its own"));
}

TEST(Calls, EachHasAReasonOrNeedsNone) {
  for (const Call& call : calls()) {
    EXPECT_EQ(::seccomp_syscall_resolve_name(std::string(call.name).c_str()), call.number)
        << call.name;
    EXPECT_NE(call.uses, 0U) << call.name;
  }
}

}  // namespace
}  // namespace vmcore::sandbox
