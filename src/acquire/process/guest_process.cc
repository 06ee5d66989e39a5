// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/guest_process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include "src/base/number.h"
#include "src/base/process.h"
#include "src/base/sys.h"
#include "src/sandbox/messages.h"

namespace vmcore::acquire {
namespace {

namespace fs = std::filesystem;

fs::path proc(pid_t pid, std::string_view name) { return fmt::format("/proc/{}/{}", pid, name); }

tl::unexpected<Error> cannot_open(int error, pid_t pid, std::string_view what) {
  if (error == ENOENT || error == ESRCH) {
    return fail(Errc::not_found, "process {} of the guest has ended", pid);
  }
  return fail(error == EACCES || error == EPERM ? Errc::denied : Errc::io,
              "{} of process {}: {} (method direct needs CAP_SYS_PTRACE, or the guest's own user "
              "and kernel.yama.ptrace_scope=0)",
              what, pid, fail_errno(error, "open").value().message);
}

Result<Fd> open_proc(pid_t pid, const char* name) {
  Fd file(::open(proc(pid, name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    return cannot_open(errno, pid, name);
  }
  return file;
}

// The worker gets it, and frame numbers of the host are none of its business. The kernel shows them
// by what whoever opened the file might do (Linux fs/proc/task_mmu.c, pagemap_read, v6.12).
// Capabilities are the thread's own.
Result<Fd> open_pagemap(pid_t pid) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> all{};
  if (::syscall(SYS_capget, &header, all.data()) != 0) {
    return fail_errno(errno, "capget");
  }
  auto some = all;
  some[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
  if (::syscall(SYS_capset, &header, some.data()) != 0) {
    return fail_errno(errno, "capset");
  }
  auto file = open_proc(pid, "pagemap");
  if (::syscall(SYS_capset, &header, all.data()) != 0) {
    return fail_errno(errno, "capset");
  }
  return file;
}

Result<std::vector<Mapping>> read_maps(pid_t pid) {
  std::ifstream file(proc(pid, "maps"), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) {
    return cannot_open(EACCES, pid, "maps");
  }
  return parse_maps(text);
}

// The number of a thread in the innermost of its PID namespaces: the last of its line "NSpid:".
std::uint64_t own_number(const fs::path& status) {
  std::ifstream file(status);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("NSpid:")) {
      const std::size_t last = line.find_last_of(" \t") + 1;
      return parse_number<std::uint64_t>(std::string_view(line).substr(last)).value_or(0);
    }
  }
  return 0;
}

bool is_file(int file, const Mapping& mapping) {
  struct stat status {};
  return ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
         status.st_dev == mapping.device && status.st_ino == mapping.inode;
}

// Calls each(entry) until it returns true; false where it never does. The process may end
// meanwhile.
template <class Each>
bool any_in(const fs::path& folder, Each each) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (each(entry->path())) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<GuestProcess> GuestProcess::open(pid_t pid, std::optional<Fd> known) {
  Result<Fd> opened = known ? Result<Fd>(*std::move(known)) : open_pidfd(pid);
  TRY_ASSIGN(Fd pidfd, std::move(opened));
  auto memory = open_proc(pid, "mem");
  if (!memory && memory.error().code == Errc::not_found && !is_readable(pidfd.get())) {
    return cannot_open(EACCES, pid, "mem");  // proc's mount option hidepid
  }
  if (!memory) {
    return tl::unexpected(std::move(memory).error());
  }
  TRY_ASSIGN(Fd pagemap, open_pagemap(pid));
  GuestProcess process(pid, std::move(pidfd), *std::move(memory), std::move(pagemap));
  TRY(process.check_alive());
  return process;
}

// A file that was opened by the process's number belongs to it if the process has not ended since.
Result<> GuestProcess::check_alive() const {
  if (is_readable(pidfd_.get())) {
    return fail(Errc::not_found, "process {} of the guest has ended", pid_);
  }
  return {};
}

bool has_thread(pid_t pid, std::uint64_t thread) {
  return any_in(proc(pid, "task"),
                [&](const fs::path& task) { return own_number(task / "status") == thread; });
}

// By the process's own descriptor of the file: it may be unlinked, or lie in another mount
// namespace. A file that it has closed is still found by its mapping, with more privilege.
Result<Fd> GuestProcess::open_file(const Mapping& mapping) const {
  const auto reopen = [](const std::string& path) {
    return Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  };
  Fd file;
  any_in(proc(pid_, "fd"), [&](const fs::path& entry) {
    // Held without being opened first: the process could put another file in its place.
    const Fd held(::open(entry.c_str(), O_PATH | O_CLOEXEC));
    if (held && is_file(held.get(), mapping)) {
      file = reopen(fmt::format("/proc/self/fd/{}", held.get()));
    }
    return static_cast<bool>(file);
  });
  if (file) {
    return file;
  }
  file = reopen(proc(pid_, fmt::format("map_files/{:x}-{:x}", mapping.begin, mapping.end)));
  if (!file) {
    return cannot_open(errno, pid_, mapping.path);
  }
  return file;
}

std::optional<ProcessKey> GuestProcess::key() const {
  const auto began = start_time(pid_);
  return began && check_alive() ? std::optional(ProcessKey{pid_, *began}) : std::nullopt;
}

Result<std::vector<Mapping>> GuestProcess::mappings() const { return read_maps(pid_); }

Result<ImageSource> GuestProcess::locate(std::span<const RamBlock> blocks) const {
  TRY_ASSIGN(const std::vector<Mapping> mappings, read_maps(pid_));
  ImageSource source;
  TRY_ASSIGN(source.pieces, pieces_of(blocks, mappings));
  std::map<std::pair<std::uint64_t, std::uint64_t>, unsigned> known;  // by device and inode
  for (Piece& piece : source.pieces) {
    if (!piece.file) {
      continue;
    }
    const Mapping& mapping = mappings[piece.file->file];
    const auto [entry, fresh] = known.try_emplace({mapping.device, mapping.inode},
                                                  static_cast<unsigned>(source.files.size()));
    if (fresh) {
      TRY_ASSIGN(Fd file, open_file(mapping));
      source.files.push_back(std::move(file));
    }
    piece.file->file = entry->second;
  }
  TRY_ASSIGN(source.memory, duplicate(memory_.get()));
  TRY_ASSIGN(source.pagemap, duplicate(pagemap_.get()));
  TRY(check_same());
  return source;
}

// The descriptor is bound to the memory that the process had when it was opened: nothing can be
// read by it once that is gone (Linux fs/proc/base.c, mem_rw, v6.12). Its first address need not be
// mapped: reading there fails, and is not the end of the file.
Result<> GuestProcess::check_same() const {
  std::byte byte{};
  const auto got = sys::pread_full(memory_.get(), {&byte, 1}, 0);
  if (got && *got == 0) {
    return fail(Errc::not_found, "process {} of the guest has ended", pid_);
  }
  return check_alive();
}

std::uint64_t GuestProcess::copy(std::span<const iovec> from, std::span<const iovec> to) const {
  const ssize_t copied =
      ::process_vm_readv(pid_, to.data(), to.size(), from.data(), from.size(), 0);
  return copied > 0 ? static_cast<std::uint64_t>(copied) : 0;
}

std::uint64_t GuestProcess::read(std::uint64_t address, std::span<std::byte> out) const {
  std::uint64_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(memory_.get(), out.data() + done, out.size() - done,
                                static_cast<off_t>(address + done));
    if (got <= 0 && !(got < 0 && errno == EINTR)) {
      break;
    }
    done += static_cast<std::uint64_t>(std::max<ssize_t>(got, 0));
  }
  return done;
}

std::optional<std::uint64_t> resident_bytes(pid_t pid) {
  std::ifstream file(proc(pid, "statm"));
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  if (!(file >> size >> resident)) {
    return std::nullopt;
  }
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// The 22nd word of its line; the second, in parentheses, is any text.
std::optional<std::uint64_t> start_time(pid_t pid) {
  std::ifstream file(proc(pid, "stat"), std::ios::binary);
  const std::string line{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) {
    return std::nullopt;
  }
  std::istringstream words(line.substr(name_end + 1));
  std::string skipped;
  for (int word = 3; word < 22; ++word) {
    words >> skipped;
  }
  std::uint64_t time = 0;
  return words >> time ? std::optional(time) : std::nullopt;
}

Result<std::vector<Piece>> pieces_of(std::span<const RamBlock> blocks,
                                     std::span<const Mapping> mappings) {
  std::vector<Piece> pieces;
  for (const RamBlock& block : blocks) {
    for (std::uint64_t done = 0; done < block.range.size;) {
      const std::uint64_t address = block.address + done;
      const auto mapping = std::ranges::upper_bound(mappings, address, {}, &Mapping::end);
      if (address < block.address || mapping == mappings.end() || mapping->begin > address ||
          !mapping->may_be_ram()) {
        return fail(Errc::malformed,
                    "guest-physical address {:#x} should be at {:#x} in the guest's process, but "
                    "no RAM is mapped there",
                    block.range.begin.value + done, address);
      }
      const std::uint64_t size = std::min(block.range.size - done, mapping->end - address);
      Piece piece{.range = {block.range.begin + done, size}, .address = {}, .file = {}};
      if (!mapping->shared) {
        piece.address = address;
      }
      if (mapping->inode != 0) {
        piece.file = FilePlace{static_cast<unsigned>(mapping - mappings.begin()),
                               mapping->offset + (address - mapping->begin)};
      }
      pieces.push_back(piece);
      done += size;
    }
  }
  std::ranges::sort(pieces, {}, [](const Piece& piece) { return piece.range.begin; });
  const auto overlap = std::ranges::adjacent_find(
      pieces, [](const Piece& a, const Piece& b) { return a.range.end() > b.range.begin; });
  if (overlap != pieces.end()) {
    return fail(Errc::malformed, "two blocks of memory contain guest-physical address {:#x}",
                std::next(overlap)->range.begin.value);
  }
  return pieces;
}

}  // namespace vmcore::acquire
