// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/identity.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "src/acquire/process/maps.h"

namespace vmcore::acquire {
namespace {

namespace fs = std::filesystem;

template <class Ids>
void read_ids(std::istream& words, Ids& ids) {
  for (auto& id : ids) {
    words >> id;
  }
}

// Of proc(5), status: "Uid:", "Gid:" and "CapPrm:".
bool read_status(pid_t pid, ProcessIdentity& identity) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  int found = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "Uid:") {
      read_ids(words, identity.uids);
    } else if (name == "Gid:") {
      read_ids(words, identity.gids);
    } else if (name == "CapPrm:") {
      words >> std::hex >> identity.capabilities;
    } else {
      continue;
    }
    found += words ? 1 : 0;
  }
  return found == 3;
}

// The capabilities of a process count only in our own user namespace.
bool is_in_our_user_namespace(pid_t pid) {
  std::error_code ours;
  std::error_code its;
  const fs::path one = fs::read_symlink("/proc/self/ns/user", ours);
  const fs::path other = fs::read_symlink(fmt::format("/proc/{}/ns/user", pid), its);
  return ours || its || one == other;
}

// A program that is run by its loader has the loader as /proc/PID/exe.
std::vector<std::string> programs_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/maps", pid), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> programs;
  const auto mappings = parse_maps(text);
  for (const Mapping& mapping : mappings ? *mappings : std::vector<Mapping>{}) {
    const std::string name = fs::path(mapping.path).filename().string();
    if (mapping.executable && mapping.inode != 0 &&
        std::ranges::find(programs, name) == programs.end()) {
      programs.push_back(name);
    }
  }
  return programs;
}

template <class Ids>
bool are_all(const Ids& ids, typename Ids::value_type wanted) {
  return std::ranges::all_of(ids, [&](auto id) { return id == wanted; });
}

}  // namespace

Result<ProcessIdentity> identity_of(pid_t pid) {
  ProcessIdentity identity;
  struct stat status {};
  if (!read_status(pid, identity) ||
      ::stat(fmt::format("/proc/{}/mem", pid).c_str(), &status) != 0) {
    return fail(Errc::not_found, "process {} of the guest has ended", pid);
  }
  identity.owner = status.st_uid;
  if (!is_in_our_user_namespace(pid)) {
    identity.capabilities = 0;
  }
  identity.programs = programs_of(pid);
  return identity;
}

bool is_qemu(std::string_view program) {
  return program.find("qemu-system") != std::string_view::npos ||
         program.find("qemu-kvm") != std::string_view::npos || program == "kvm";
}

Result<> check_identity(const ProcessIdentity& process, Voucher voucher) {
  if (std::ranges::none_of(process.programs, is_qemu)) {
    return fail(Errc::unsupported, "it runs {}, whose name is not that of a QEMU",
                process.programs.empty() ? "an unknown program" : process.programs.front());
  }
  if (voucher.uid == 0) {
    return {};
  }
  if (!are_all(process.uids, voucher.uid) || !are_all(process.gids, voucher.gid)) {
    return fail(Errc::denied,
                "user {} (group {}) claims that it runs the guest, but it has the ids of user {} "
                "(group {})",
                voucher.uid, voucher.gid, process.uids[1], process.gids[1]);
  }
  if (process.capabilities != 0 || process.owner != voucher.uid) {
    return fail(Errc::denied,
                "user {} claims that it runs the guest, but may not read its memory: the kernel "
                "protects it (a set-uid program, or a process with capabilities)",
                voucher.uid);
  }
  return {};
}

}  // namespace vmcore::acquire
