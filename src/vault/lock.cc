// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <csignal>

namespace vmcore::vault {
namespace {

int operation_of(Hold hold) {
  switch (hold) {
    case Hold::alone:
      return LOCK_EX;
    case Hold::alone_now:
      return LOCK_EX | LOCK_NB;
    case Hold::shared:
      return LOCK_SH;
  }
  return LOCK_EX;
}

}  // namespace

Result<Fd> lock_folder(int folder, Hold hold, bool create) {
  // NFS locks alone only what is open for writing.
  const int flags = (hold == Hold::shared ? O_RDONLY : O_RDWR) | (create ? O_CREAT : 0);
  Fd lock(::openat(folder, kLockName, flags | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock) {
    return fail_errno(errno, kLockName);
  }
  int locked = 0;
  do {
    locked = ::flock(lock.get(), operation_of(hold));
  } while (locked != 0 && errno == EINTR);
  if (locked != 0 && errno == EWOULDBLOCK) {
    return fail(Errc::busy, "another program uses it");
  }
  if (locked != 0) {
    return fail_errno(errno, kLockName);
  }
  return lock;
}

bool is_open_elsewhere(int folder, const std::string& name) {
  const Fd file(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) {
    return false;
  }
  // Granted only while nobody else has it open. Whoever opens it just then breaks the lease, and
  // the usual signal for that (SIGIO) would end this program.
  static_cast<void>(::fcntl(file.get(), F_SETSIG, SIGURG));
  if (::fcntl(file.get(), F_SETLEASE, F_WRLCK) == 0) {
    static_cast<void>(::fcntl(file.get(), F_SETLEASE, F_UNLCK));
    return false;
  }
  return errno == EAGAIN;
}

}  // namespace vmcore::vault
