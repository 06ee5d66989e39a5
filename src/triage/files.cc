// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/files.h"

#include <algorithm>
#include <string>
#include <utility>

#include "src/kernel/lists.h"
#include "src/triage/sockets.h"

namespace vmcore::triage {
namespace {

constexpr std::size_t kMaxParts = 64;       // of a path
constexpr std::size_t kMaxNameBytes = 255;  // NAME_MAX
constexpr std::size_t kMaxMounts = 10'000;

Result<std::string> name_of_dentry(Knowledge& knowledge, VirtAddr dentry) {
  TRY_ASSIGN(const VirtAddr name, knowledge.pointer(dentry, "dentry.d_name.name"));
  return knowledge.text_at(name, kMaxNameBytes + 1);
}

// The path of a dentry in its file system, to which `mount` adds where that is mounted. A mount is
// left by mount.mnt_mountpoint to mount.mnt_parent.
Result<std::string> path_of(Knowledge& knowledge, VirtAddr dentry, VirtAddr mount) {
  TRY_ASSIGN(const kernel::BtfField inner, knowledge.field("mount.mnt"));
  std::string path;
  for (std::size_t parts = 0; parts < kMaxParts; ++parts) {
    TRY_ASSIGN(const VirtAddr root, knowledge.pointer(mount + inner.offset(), "vfsmount.mnt_root"));
    TRY_ASSIGN(const VirtAddr parent, knowledge.pointer(dentry, "dentry.d_parent"));
    if (dentry == root || dentry == parent) {
      TRY_ASSIGN(const VirtAddr above, knowledge.pointer(mount, "mount.mnt_parent"));
      if (above == mount || dentry != root) {
        return path.empty() ? "/" : path;
      }
      TRY_ASSIGN(dentry, knowledge.pointer(mount, "mount.mnt_mountpoint"));
      mount = above;
      continue;
    }
    TRY_ASSIGN(const std::string name, name_of_dentry(knowledge, dentry));
    path = "/" + name + path;
    dentry = parent;
  }
  return "..." + path;
}

Result<report::Mount> mount_of(Knowledge& knowledge, VirtAddr mount) {
  report::Mount listed;
  TRY_ASSIGN(const VirtAddr device, knowledge.pointer(mount, "mount.mnt_devname"));
  listed.device =
      device.value == 0 ? "none" : knowledge.text_at(device, report::kMaxName).value_or("?");
  TRY_ASSIGN(const kernel::BtfField inner, knowledge.field("mount.mnt"));
  const VirtAddr vfsmount = mount + inner.offset();
  TRY_ASSIGN(const VirtAddr root, knowledge.pointer(vfsmount, "vfsmount.mnt_root"));
  TRY_ASSIGN(listed.point, path_of(knowledge, root, mount));
  TRY_ASSIGN(const VirtAddr super, knowledge.pointer(vfsmount, "vfsmount.mnt_sb"));
  TRY_ASSIGN(const VirtAddr type, knowledge.pointer(super, "super_block.s_type"));
  TRY_ASSIGN(const VirtAddr name, knowledge.pointer(type, "file_system_type.name"));
  TRY_ASSIGN(listed.type, knowledge.text_at(name, report::kMaxName));
  return listed;
}

// The mounts of a namespace: a tree since v6.8 (2eea9ce4310d), of which the nodes are the mounts in
// the order of their numbers; a list before.
Result<std::vector<VirtAddr>> mounts_in_tree(Knowledge& knowledge, VirtAddr space) {
  TRY_ASSIGN(const kernel::BtfField node, knowledge.field("mount.mnt_node"));
  TRY_ASSIGN(const VirtAddr top, knowledge.pointer(space, "mnt_namespace.mounts"));
  std::vector<VirtAddr> found;
  std::vector<VirtAddr> left{top};
  while (!left.empty() && found.size() < kMaxMounts) {
    const VirtAddr at = left.back();
    left.pop_back();
    if (at.value == 0) {
      continue;
    }
    found.push_back({at.value - node.offset()});
    for (const char* child : {"rb_node.rb_right", "rb_node.rb_left"}) {
      if (const auto next = knowledge.pointer(at, child)) {
        left.push_back(*next);
      }
    }
  }
  return found;
}

Result<std::vector<VirtAddr>> mounts_of(Knowledge& knowledge, VirtAddr space) {
  const auto list = knowledge.field("mnt_namespace.list");
  if (!list) {
    return mounts_in_tree(knowledge, space);
  }
  TRY_ASSIGN(const kernel::BtfField link, knowledge.field("mount.mnt_list"));
  std::vector<VirtAddr> found;
  for (const VirtAddr entry :
       kernel::walk_list(knowledge.kernel, space + list->offset(), kMaxMounts).entries) {
    found.push_back({entry.value - link.offset()});
  }
  return found;
}

Result<std::vector<report::Mount>> read_mounts(Knowledge& knowledge) {
  TRY_ASSIGN(const VirtAddr init, knowledge.symbol("init_task"));
  TRY_ASSIGN(const VirtAddr proxy, knowledge.pointer(init, "task_struct.nsproxy"));
  TRY_ASSIGN(const VirtAddr space, knowledge.pointer(proxy, "nsproxy.mnt_ns"));
  TRY_ASSIGN(const auto found, mounts_of(knowledge, space));
  std::vector<report::Mount> mounts;
  for (const VirtAddr mount : found) {
    auto listed = mount_of(knowledge, mount);
    if (listed && mounts.size() < report::kMaxEntries) {
      mounts.push_back(*std::move(listed));
    }
  }
  return mounts;
}

// The path of a file; in the words of /proc/PID/fd for a file that has none. What it is, if it is a
// socket.
Result<report::OpenFile> describe(Knowledge& knowledge, VirtAddr file) {
  TRY_ASSIGN(const VirtAddr dentry, knowledge.pointer(file, "file.f_path.dentry"));
  TRY_ASSIGN(const VirtAddr vfsmount, knowledge.pointer(file, "file.f_path.mnt"));
  TRY_ASSIGN(const kernel::BtfField inner, knowledge.field("mount.mnt"));
  TRY_ASSIGN(const VirtAddr super, knowledge.pointer(dentry, "dentry.d_sb"));
  TRY_ASSIGN(const VirtAddr type, knowledge.pointer(super, "super_block.s_type"));
  TRY_ASSIGN(const VirtAddr name, knowledge.pointer(type, "file_system_type.name"));
  TRY_ASSIGN(const std::string kind, knowledge.text_at(name, report::kMaxName));
  if (kind == "sockfs" || kind == "pipefs" || kind == "anon_inodefs") {
    TRY_ASSIGN(const std::string own, name_of_dentry(knowledge, dentry));
    report::OpenFile found{.path = kind == "pipefs" ? "pipe:" : "anon_inode:" + own};
    if (kind == "sockfs") {
      found.path = "socket:";
      if (auto socket = socket_of(knowledge, file)) {
        found.socket = *std::move(socket);
      }
    }
    return found;
  }
  TRY_ASSIGN(std::string path, path_of(knowledge, dentry, {vfsmount.value - inner.offset()}));
  return report::OpenFile{.path = std::move(path)};
}

}  // namespace

report::Known<std::vector<report::Mount>> mount_section(Knowledge& knowledge) {
  auto mounts = read_mounts(knowledge);
  if (!mounts) {
    return {.why_not = mounts.error().message};
  }
  return {.value = *std::move(mounts)};
}

Result<std::vector<report::OpenFile>> open_files(Knowledge& knowledge, VirtAddr task) {
  constexpr std::uint64_t kMostNumbers = 4096;
  std::vector<report::OpenFile> list;
  TRY_ASSIGN(const VirtAddr files, knowledge.pointer(task, "task_struct.files"));
  if (files.value == 0) {
    return list;  // a thread of the kernel
  }
  TRY_ASSIGN(const VirtAddr table, knowledge.pointer(files, "files_struct.fdt"));
  TRY_ASSIGN(const std::uint64_t count, knowledge.number(table, "fdtable.max_fds"));
  TRY_ASSIGN(const VirtAddr entries, knowledge.pointer(table, "fdtable.fd"));
  for (std::uint64_t i = 0; i < std::min(count, kMostNumbers); ++i) {
    TRY_ASSIGN(const auto file,
               knowledge.kernel.read_value<std::uint64_t>(entries + i * sizeof(std::uint64_t)));
    if (file != 0 && list.size() < report::kMaxEntries) {
      list.push_back(describe(knowledge, {file}).value_or(report::OpenFile{.path = "?"}));
      list.back().number = i;
    }
  }
  return list;
}

}  // namespace vmcore::triage
