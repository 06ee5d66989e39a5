#include "src/acquire/dump_target.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

namespace vmcore::acquire {
namespace {

namespace fs = std::filesystem;

// Where sockets and FIFOs of a user live; /tmp forbids others, libvirt too, to open FIFOs there
// (sysctl fs.protected_fifos).
fs::path runtime_folder() {
  if (::geteuid() == 0) {
    return "/run";
  }
  const char* folder = std::getenv("XDG_RUNTIME_DIR");
  return folder != nullptr && *folder != '\0' ? folder : "/var/tmp";
}

}  // namespace

Result<PrivateFolder> PrivateFolder::make(const fs::path& parent) {
  std::error_code error;
  const fs::path absolute = fs::absolute(parent, error);  // libvirt's working folder is another
  std::string path = (absolute / ".vmcorectl-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {  // mode 0700
    return fail_errno(errno, parent.string());
  }
  return PrivateFolder(path);
}

PrivateFolder::PrivateFolder(PrivateFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

void PrivateFolder::remove() {
  if (!path_.empty()) {
    ::unlink(file().c_str());
    ::rmdir(path_.c_str());
    path_.clear();
  }
}

Result<FifoGuardian> FifoGuardian::start(int fifo) {
  constexpr int kGuardMilliseconds = 120'000;
  const pid_t pid = ::fork();
  if (pid < 0) {
    return fail_errno(errno, "fork");
  }
  if (pid == 0) {
    // Other threads may have held locks: only async-signal-safe calls from here on.
    ::setsid();
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      ::signal(signal, SIG_DFL);
    }
    ::dup2(fifo, STDIN_FILENO);
    ::close_range(STDIN_FILENO + 1, ~0U, 0);
    pollfd wait{STDIN_FILENO, POLLIN, 0};
    ::poll(&wait, 1, kGuardMilliseconds);
    ::_exit(0);
  }
  return FifoGuardian(pid);
}

FifoGuardian::FifoGuardian(FifoGuardian&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)) {}

void FifoGuardian::stop() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }
}

Result<DumpTarget> DumpTarget::make_fifo() {
  TRY_ASSIGN(PrivateFolder folder, PrivateFolder::make(runtime_folder()));
  if (::mkfifo(folder.file().c_str(), 0600) != 0) {
    return fail_errno(errno, folder.file().string());
  }
  Fd reader(::open(folder.file().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!reader) {
    return fail_errno(errno, folder.file().string());
  }
  static_cast<void>(::fcntl(reader.get(), F_SETPIPE_SZ, 1 << 20));  // fewer wake-ups
  TRY_ASSIGN(FifoGuardian guardian, FifoGuardian::start(reader.get()));
  DumpTarget target(std::move(folder), std::move(reader));
  target.guardian_.emplace(std::move(guardian));
  return target;
}

Result<DumpTarget> DumpTarget::make_file(const fs::path& folder) {
  TRY_ASSIGN(PrivateFolder made, PrivateFolder::make(folder));
  Fd file(::open(made.file().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) {
    return fail_errno(errno, made.file().string());
  }
  return DumpTarget(std::move(made), std::move(file));
}

void DumpTarget::forget_path() {
  guardian_.reset();
  folder_.remove();
}

Result<Fd> DumpTarget::take() {
  const int flags = ::fcntl(file_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(file_.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) {
    return fail_errno(errno, "fcntl");
  }
  return std::move(file_);
}

}  // namespace vmcore::acquire
