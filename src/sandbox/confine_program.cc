// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/confine_program.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <memory>
#include <set>

#include "src/base/fd.h"
#include "src/base/pipe.h"
#include "src/base/process.h"
#include "src/base/sys.h"
#include "src/sandbox/confine.h"
#include "src/sandbox/landlock.h"

namespace vmcore::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr rlim_t kMostOutput = 1ULL << 30;
constexpr const char* kTemporary = "/tmp";  // tmpfile(3) takes no other
constexpr const char* kProcesses = "/proc";
// Nothing else of /etc, where keys are.
const std::vector<std::string> kSystem{"/usr",
                                       "/bin",
                                       "/sbin",
                                       "/lib",
                                       "/lib64",
                                       "/opt",
                                       "/etc/alternatives",
                                       "/etc/ld.so.cache",
                                       "/etc/localtime",
                                       "/etc/terminfo",
                                       "/sys/devices/system/cpu",
                                       "/dev/urandom"};
constexpr int kNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID;

// The owners of the files and of the folders on the way to them.
struct Owners {
  std::set<unsigned> users;
  std::set<unsigned> groups;

  void add(const fs::path& path) {
    for (fs::path at = path; !at.empty(); at = at == at.parent_path() ? "" : at.parent_path()) {
      struct stat status {};
      if (::stat(at.c_str(), &status) == 0) {
        users.insert(status.st_uid);
        groups.insert(status.st_gid);
      }
    }
  }
};

Owners owners_of(const std::vector<std::string>& paths) {
  Owners owners{{0}, {0}};
  for (const std::string& path : paths) {
    std::error_code error;
    owners.add(path);
    owners.add(fs::canonical(path, error));
  }
  return owners;
}

std::string map_of(const std::set<unsigned>& numbers) {
  std::string map;
  for (const unsigned number : numbers) {
    map += fmt::format("{0} {0} 1\n", number);
  }
  return map;
}

Result<> write_to(const std::string& path, std::string_view text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) {
    return fail_errno(errno, path);
  }
  return sys::write_full(file.get(), std::as_bytes(std::span(text)));
}

// Who is known in the namespace of the process. A capability there counts for their files alone.
Result<> map_users(pid_t process, const Owners& owners) {
  const std::string folder = fmt::format("/proc/{}/", process);
  if (::geteuid() != 0) {
    TRY(write_to(folder + "setgroups", "deny"));
  }
  TRY(write_to(folder + "uid_map", map_of(owners.users)));
  return write_to(folder + "gid_map", map_of(owners.groups));
}

// From outside: only who is not in the namespace may map more than its own user.
Result<> enter_namespaces(const Owners& owners) {
  TRY_ASSIGN(Pipe ready, make_pipe());
  const pid_t inside = ::getpid();
  TRY_ASSIGN(Process outside, Process::start([&] {
               ready.in.reset();
               char byte = 0;
               return ::read(ready.out.get(), &byte, 1) == 1 && map_users(inside, owners) ? 0 : 1;
             }));
  if (::unshare(kNamespaces) != 0) {
    return fail_errno(errno, "namespaces");
  }
  TRY(sys::write_full(ready.in.get(), std::as_bytes(std::span("m", 1))));
  TRY_ASSIGN(const int status, outside.wait());
  return status == 0 ? Result<>() : fail(Errc::denied, "users cannot be mapped");
}

// A file below /tmp, which is to be seen there all the same.
struct Kept {
  fs::path path;
  Fd tree;
  bool is_folder = false;
};

Result<std::vector<Kept>> keep_temporary(const std::vector<std::string>& paths) {
  std::vector<Kept> kept;
  for (const std::string& path : paths) {
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    if (error || *std::next(real.begin()) != "tmp") {
      continue;
    }
    Fd tree(
        ::open_tree(AT_FDCWD, real.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
    if (!tree) {
      return fail_errno(errno, path);
    }
    kept.push_back({real, std::move(tree), fs::is_directory(real, error)});
  }
  return kept;
}

Result<> show(const Kept& kept) {
  std::error_code error;
  fs::create_directories(kept.is_folder ? kept.path : kept.path.parent_path(), error);
  if (!kept.is_folder) {
    const Fd place(::open(kept.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  }
  mount_attr read_only{
      .attr_set = MOUNT_ATTR_RDONLY, .attr_clr = 0, .propagation = 0, .userns_fd = 0};
  if (::move_mount(kept.tree.get(), "", AT_FDCWD, kept.path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) !=
          0 ||
      ::mount_setattr(AT_FDCWD, kept.path.c_str(), AT_RECURSIVE, &read_only, sizeof read_only) !=
          0) {
    return fail_errno(errno, kept.path.native());
  }
  return {};
}

Result<> make_own_temporary(const std::vector<std::string>& reads) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return fail_errno(errno, "mounts");
  }
  TRY_ASSIGN(const std::vector<Kept> kept, keep_temporary(reads));
  if (::mount("tmpfs", kTemporary, "tmpfs", MS_NOSUID | MS_NODEV, "size=256m,mode=1777") != 0) {
    return fail_errno(errno, kTemporary);
  }
  for (const Kept& each : kept) {
    TRY(show(each));
  }
  return {};
}

// DAC_READ_SEARCH, in its own namespace and so for the files of those that are mapped.
Result<> keep_reading_alone() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  const std::uint32_t bit = 1U << CAP_DAC_READ_SEARCH;
  sets[0] = {.effective = bit, .permitted = bit, .inheritable = bit};
  if (::syscall(SYS_capset, &header, sets.data()) != 0 ||
      ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0) != 0 ||
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail_errno(errno, "capabilities");
  }
  return {};
}

// What an analyzer never needs and a defect of the kernel may be behind.
Result<> forbid_calls() {
  const std::unique_ptr<void, decltype(&::seccomp_release)> filter(::seccomp_init(SCMP_ACT_ALLOW),
                                                                   ::seccomp_release);
  int done = filter ? 0 : -ENOMEM;
  for (const int call :
       {SCMP_SYS(socket), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
        SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(move_mount), SCMP_SYS(open_tree),
        SCMP_SYS(pivot_root), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(bpf),
        SCMP_SYS(perf_event_open), SCMP_SYS(io_uring_setup), SCMP_SYS(userfaultfd),
        SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(open_by_handle_at)}) {
    done = done != 0 ? done : ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
  }
  // The C library goes on with clone, whose flags can be seen.
  done = done != 0 ? done
                   : ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  done = done != 0 ? done
                   : ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER));
  done = done != 0 ? done : ::seccomp_load(filter.get());
  return done == 0 ? Result<>() : fail_errno(-done, "seccomp");
}

pid_t first_process = 0;

void pass_on(int signal_number) { ::kill(first_process, signal_number); }

// The child has no terminal, so Ctrl-C comes to this process, which passes it on.
[[noreturn]] void end_as(pid_t child) {
  first_process = child;
  std::signal(SIGINT, pass_on);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    std::signal(WTERMSIG(status), SIG_DFL);
    ::kill(::getpid(), WTERMSIG(status));
  }
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

// A change of user undoes what is to happen when the parent dies.
Result<> give_up_user(unsigned user) {
  if (::geteuid() == 0) {
    ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    TRY(become_user(user));
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return keep_reading_alone();
}

// The first process of its namespace, with which all others end. The one that called only waits.
Result<> become_first(unsigned user) {
  const pid_t child = ::fork();
  if (child < 0) {
    return fail_errno(errno, "fork");
  }
  if (child > 0) {
    if (!give_up_user(user)) {
      ::kill(child, SIGKILL);
    }
    end_as(child);
  }
  ::setsid();  // with its number, as if it had been started in no namespace
  return {};
}

// crash looks for the processes of a pipe (`log | tail`) by their parent and group in
// /proc/PID/stat: cmdline.c, output_command_to_pids() (8.0.6). Linux mounts it only where a /proc
// is seen in full, which most containers do not have: no /proc is to be read then.
bool show_own_processes() {
  return ::mount("proc", kProcesses, "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                 "subset=pid") == 0;
}

Result<> set_limits() {
  const rlimit most{kMostOutput, kMostOutput};
  const rlimit none{0, 0};
  return ::setrlimit(RLIMIT_FSIZE, &most) == 0 && ::setrlimit(RLIMIT_CORE, &none) == 0
             ? Result<>()
             : fail_errno(errno, "limits");
}

Result<> give_up_rights(unsigned user, const std::vector<std::string>& reads) {
  PathRights rights{.reads = kSystem, .writes = {kTemporary, "/dev/null"}};
  rights.reads.insert(rights.reads.end(), reads.begin(), reads.end());
  if (show_own_processes()) {
    rights.reads.emplace_back(kProcesses);
  }
  TRY(give_up_user(user));
  TRY(restrict_paths(rights));
  return forbid_calls();
}

Result<> confine(const std::vector<std::string>& reads) {
  const bool is_root = ::geteuid() == 0;
  const unsigned user = is_root ? own_user() : ::geteuid();
  const Owners owners = is_root ? owners_of(reads) : Owners{};
  Owners known = owners;
  known.users.insert(user);
  known.groups.insert(is_root ? user : ::getegid());
  TRY(enter_namespaces(known));
  TRY(make_own_temporary(reads));
  TRY(set_limits());
  TRY(become_first(user));
  return give_up_rights(user, reads);
}

}  // namespace

Result<> confine_program(const std::vector<std::string>& reads) {
  Result<> confined = confine(reads);
  return confined ? confined
                  : fail(Errc::denied, "it cannot be confined: {}", confined.error().message);
}

}  // namespace vmcore::sandbox
