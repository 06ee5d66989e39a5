// SPDX-License-Identifier: GPL-2.0-or-later
// Which QEMU runs a libvirt domain.
#pragma once

#include <sys/types.h>

#include <string>

#include <libvirt/libvirt.h>

namespace vmcore::acquire {

// The path of a QEMU in libvirt's XML of domain capabilities; empty where there is none.
std::string emulator_in(const std::string& capabilities);

// The version of the QEMU that the process is: "7.2.22". libvirt tells one version, that of the
// default QEMU as it is installed now; so it is empty where the process is of another file, or that
// was replaced since.
std::string version_of_emulator(virConnect* connection, pid_t pid);

// Asks libvirt for its default QEMU. The first answer takes some seconds, because libvirt starts
// that QEMU to see what it can do; the next ones, of any connection, take milliseconds.
void let_libvirt_learn_emulator(const std::string& uri);

}  // namespace vmcore::acquire
