#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Starts a guest of plain QEMU whose crashes vmcored keeps. DISK is its disk; QEMU-OPTIONs go to QEMU.
#   qemu.sh NAME DISK [QEMU-OPTION...]
#
# vmcored holds the monitor in /run/qemu-vmcored (qmp-folders of vmcored.conf). The second
# monitor, in /run/qemu, is for all other clients: a monitor serves one client.
set -eu
name=$1
disk=$2
shift 2
install -d -m 0700 /run/qemu-vmcored /run/qemu
# The panic device tells QEMU of a panic, and panic=pause keeps the memory (QEMU 6.0). With
# vmcoreinfo the kernel tells where it lies. The port takes the dump that vmcore-guest sends (docs/guest.md).
exec qemu-system-x86_64 -name "$name" -uuid "$(uuidgen --sha1 --namespace @dns --name "$name")" \
  -machine q35,accel=kvm -cpu host -m 2G -smp 2 -display none -nodefaults \
  -drive "file=$disk,if=virtio" \
  -device pvpanic-pci -action panic=pause \
  -device vmcoreinfo \
  -device virtio-serial-pci \
  -chardev "socket,id=dump,path=/run/qemu/$name.dump,server=on,wait=off" \
  -device virtserialport,chardev=dump,name=org.vmcorectl.dump.0 \
  -qmp "unix:/run/qemu-vmcored/$name.qmp,server=on,wait=off" \
  -qmp "unix:/run/qemu/$name.qmp,server=on,wait=off" \
  "$@"
