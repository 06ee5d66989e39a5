#!/usr/bin/env drgn
# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts, open files and sockets of user tasks, network devices."""

import stat

from drgn import Object
from drgn.helpers.linux.fs import d_path, for_each_file, for_each_mount, mount_dst, mount_fstype, mount_src
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry

FAMILIES = {1: "unix", 2: "inet", 10: "inet6", 16: "netlink", 17: "packet", 40: "vsock"}
TYPES = {1: "stream", 2: "dgram", 3: "raw", 5: "seqpacket"}


def section(title, show):
    """What cannot be known of this dump does not end the script."""
    print(f"== {title}", flush=True)
    try:
        show()
    except Exception as error:
        print(f"not known: {type(error).__name__}: {error}")


def shown(text):
    return text.decode(errors="backslashreplace")


def all_mounts():
    """A tree since 6.8 (2eea9ce4310d), which early versions of drgn do not walk."""
    namespace = prog["init_task"].nsproxy.mnt_ns
    if hasattr(namespace, "list"):
        return for_each_mount(prog)
    return rbtree_inorder_for_each_entry("struct mount", namespace.mounts.address_of_(), "mnt_node")


def mounts():
    for mount in all_mounts():
        print(shown(mount_src(mount)), "on", shown(mount_dst(mount)), "type", shown(mount_fstype(mount)))


def socket_of(file):
    socket = Object(prog, "struct socket *", file.private_data)
    common = socket.sk.__sk_common
    family, kind = common.skc_family.value_(), socket.type.value_()
    return f"socket {FAMILIES.get(family, family)} {TYPES.get(kind, kind)}, state {common.skc_state.value_()}"


def name_of(file):
    if stat.S_ISSOCK(file.f_inode.i_mode.value_()):
        return socket_of(file)
    if stat.S_ISFIFO(file.f_inode.i_mode.value_()):
        return "pipe"
    return shown(d_path(file.f_path))


def files():
    for task in for_each_task(prog):
        if not task.mm or task.tgid.value_() != task.pid.value_() or not task.files:
            continue
        print(f"-- {task.pid.value_()} {shown(task.comm.string_())}")
        for entry in for_each_file(task):
            number, file = entry[0], entry[1]
            try:
                print(f"{number:>6} {name_of(file)}")
            except Exception as error:
                print(f"{number:>6} not known: {error}")


def devices():
    for device in list_for_each_entry("struct net_device", prog["init_net"].dev_base_head.address_of_(), "dev_list"):
        up = "up" if device.flags.value_() & 1 else "down"
        print(f"{shown(device.name.string_()):<16} {up:<5} mtu {device.mtu.value_()}")


section("mounts", mounts)
section("open files and sockets of user tasks", files)
section("network devices", devices)
