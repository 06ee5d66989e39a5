// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/calls.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <variant>

// <linux/fs.h> drags in macros that clash; this one number is ABI.
#ifndef BLKGETSIZE64
#define BLKGETSIZE64 _IOR(0x12, 114, size_t)
#endif

namespace vmcore::sandbox {
namespace {

constexpr Call kCalls[] = {
    // What it was given.
    {"read", SCMP_SYS(read), kAll, "a pipe, a socket, the text of a log"},
    {"write", SCMP_SYS(write), kAll, "its text; its last words"},
    {"close", SCMP_SYS(close), kAll, "what it does not need any more"},
    {"pread64", SCMP_SYS(pread64), kMemory, "files"},
    {"lseek", SCMP_SYS(lseek), kMemory, "holes of files"},
    {"fstat", SCMP_SYS(fstat), kMemory, "sizes of files"},
    {"ioctl", SCMP_SYS(ioctl), kMemory, "BLKGETSIZE64: the size of a block device"},
    {"fcntl", SCMP_SYS(fcntl), kMemory, "F_DUPFD_CLOEXEC: a descriptor for each reader of a file"},
    {"fstatfs", SCMP_SYS(fstatfs), kGuest, "whether a file has huge pages"},
    {"memfd_create", SCMP_SYS(memfd_create), kGuest, "the beginning of QEMU's dump"},
    {"pwrite64", SCMP_SYS(pwrite64), kGuest | kSpool | kDump, "that, the spool, the dump"},
    {"ftruncate", SCMP_SYS(ftruncate), kSpool | kDump, "the end of a sparse file"},
    {"fallocate", SCMP_SYS(fallocate), kSpool, "gives back what was read of a snapshot"},
    // Its channel, and whoever else it waits for.
    {"sendmsg", SCMP_SYS(sendmsg), kAll, "its channel"},
    {"recvmsg", SCMP_SYS(recvmsg), kAll, "its channel"},
    {"sendto", SCMP_SYS(sendto), kGuest, "asks for memory of the process; to nobody by name"},
    {"recvfrom", SCMP_SYS(recvfrom), kGuest, "the answer"},
    {"poll", SCMP_SYS(poll), kAll, "the end of its channel"},
    {"ppoll", SCMP_SYS(ppoll), kAll, "the same where a machine has no poll"},
    {"restart_syscall", SCMP_SYS(restart_syscall), kAll, "a wait, after SIGSTOP and SIGCONT"},
    // Memory.
    {"mmap", SCMP_SYS(mmap), kAll, "not executable"},
    {"munmap", SCMP_SYS(munmap), kAll, "free, threads that ended"},
    {"mprotect", SCMP_SYS(mprotect), kAll, "not executable: guards of stacks, heaps of threads"},
    {"mremap", SCMP_SYS(mremap), kAll, "realloc"},
    {"madvise", SCMP_SYS(madvise), kAll, "the stack of a thread that ended, free"},
    {"brk", SCMP_SYS(brk), kAll, "malloc"},
    // Threads.
    {"clone", SCMP_SYS(clone), kAll, "a thread, and nothing but a thread"},
    {"futex", SCMP_SYS(futex), kAll, "locks"},
    {"set_robust_list", SCMP_SYS(set_robust_list), kAll, "a thread begins"},
    {"rseq", SCMP_SYS(rseq), kAll, "a thread begins"},
    {"rt_sigaction", SCMP_SYS(rt_sigaction), kAll, "the first thread: the C library's own signal"},
    {"rt_sigprocmask", SCMP_SYS(rt_sigprocmask), kAll, "a thread begins or ends; abort"},
    {"sched_getaffinity", SCMP_SYS(sched_getaffinity), kAll, "malloc: how many heaps"},
    {"sched_yield", SCMP_SYS(sched_yield), kAll, "spinning locks of the C and C++ libraries"},
    {"exit", SCMP_SYS(exit), kAll, "a thread ends"},
    // Time and chance.
    {"clock_gettime", SCMP_SYS(clock_gettime), kAll, "on hosts whose clock has no vDSO"},
    {"clock_nanosleep", SCMP_SYS(clock_nanosleep), kDump, "--bandwidth"},
    {"getrandom", SCMP_SYS(getrandom), kAll, "libsodium; malloc of newer C libraries"},
    // The end.
    {"getpid", SCMP_SYS(getpid), kAll, "abort"},
    {"gettid", SCMP_SYS(gettid), kAll, "abort"},
    {"tgkill", SCMP_SYS(tgkill), kAll, "abort: its own threads, and no others"},
    {"writev", SCMP_SYS(writev), kAll, "last words of the C library"},
    {"exit_group", SCMP_SYS(exit_group), kAll, "it ends"},
};

// As glibc makes a thread (sysdeps/unix/sysv/linux, nptl/pthread_create.c, 2.3 to 2.41). A fork,
// and anything with a namespace of its own, has other flags.
constexpr std::uint64_t kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
                                  CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                                  CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

// Of an int the kernel looks at that much.
constexpr scmp_datum_t kInt = 0xffffffff;

// What the arguments of a call have to be. Calls that are not here may have any.
std::array<scmp_arg_cmp, 1> condition_of(int number) {
  switch (number) {
    case SCMP_SYS(ioctl):
      return {SCMP_A1_64(SCMP_CMP_MASKED_EQ, kInt, BLKGETSIZE64)};
    case SCMP_SYS(fcntl):
      return {SCMP_A1_64(SCMP_CMP_MASKED_EQ, kInt, F_DUPFD_CLOEXEC)};
    case SCMP_SYS(mmap):
    case SCMP_SYS(mprotect):
      return {SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)};
    case SCMP_SYS(clone):
      return {SCMP_A0_64(SCMP_CMP_MASKED_EQ, kInt, kThread)};
    case SCMP_SYS(sendto):
      return {SCMP_A4_64(SCMP_CMP_EQ, 0, 0)};
    case SCMP_SYS(tgkill):
      return {SCMP_A0_64(SCMP_CMP_MASKED_EQ, kInt, static_cast<scmp_datum_t>(::getpid()))};
    default:
      return {};
  }
}

[[maybe_unused]] int add_rule(scmp_filter_ctx filter, const Call& call) {
  const auto condition = condition_of(call.number);
  const bool any = condition.front().op == _SCMP_CMP_MIN;
  return ::seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call.number,
                                  any ? 0U : static_cast<unsigned>(condition.size()),
                                  condition.data());
}

// Negative where it failed, as libseccomp tells it.
[[maybe_unused]] int load_filter(scmp_filter_ctx filter, unsigned uses) {
  int done = ::seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  for (const Call& call : kCalls) {
    if (done == 0 && (call.uses & uses) != 0) {
      done = add_rule(filter, call);
    }
  }
  done = done != 0 ? done : ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  done = done != 0 ? done : ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0);
  return done != 0 ? done : ::seccomp_load(filter);
}

struct UsesOf {
  unsigned operator()(const FileInput&) const { return 0; }
  unsigned operator()(const FetchedInput&) const { return 0; }
  unsigned operator()(const ProcessInput&) const { return kGuest; }
  unsigned operator()(const LiveInput&) const { return kGuest; }
  unsigned operator()(const StreamInput&) const { return kSpool; }
  unsigned operator()(const SnapshotInput&) const { return kSpool; }
  unsigned operator()(const GuestStreamInput&) const { return kSpool; }
};

}  // namespace

unsigned uses_of(const Request& request) {
  if (request.operation == Operation::log || request.operation == Operation::nothing) {
    return kAll;
  }
  const unsigned dump = request.operation == Operation::convert ? unsigned{kDump} : 0;
  return kAll | kMemory | dump | std::visit(UsesOf(), request.input);
}

std::span<const Call> calls() { return kCalls; }

Result<> permit_calls([[maybe_unused]] unsigned uses) {
#ifndef VMCORECTL_SANITIZED
  const std::unique_ptr<void, decltype(&::seccomp_release)> filter(
      ::seccomp_init(SCMP_ACT_KILL_PROCESS), ::seccomp_release);
  if (!filter) {
    return fail(Errc::denied, "seccomp is not there");
  }
  if (const int done = load_filter(filter.get(), uses); done != 0) {
    return fail(Errc::denied, "seccomp: {}", fail_errno(-done, "the filter").value().message);
  }
#endif
  return {};
}

}  // namespace vmcore::sandbox
