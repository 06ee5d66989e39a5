// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/status/status_facts.h"

#include <gtest/gtest.h>

#include "guest/config/gzip.h"
#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::status {
namespace {

TEST(StatusFacts, TheKernelItselfTellsItsConfiguration) {
  const FolderRoot folder;
  EXPECT_EQ(read_status(folder.root()).config, "");
  folder.write("/lib/modules/" + kexec::running_release() + "/config", "CONFIG_INSTALLED=y\n");
  EXPECT_EQ(read_status(folder.root()).config, "CONFIG_INSTALLED=y\n");
  folder.write("/proc/config.gz", *config::gzip("CONFIG_PROC_VMCORE=y\n"));
  EXPECT_EQ(read_status(folder.root()).config, "CONFIG_PROC_VMCORE=y\n");
  folder.write("/proc/config.gz", "\x1f\x8b no gzip");
  EXPECT_EQ(read_status(folder.root()).config, "CONFIG_INSTALLED=y\n");
}

TEST(StatusFacts, ATargetThatCannotWorkIsNamed) {
  const FolderRoot folder;
  folder.write("/etc/vmcore-guest.conf", "target = port\ntarget = ssh:me@192.0.2.1\n");
  const StatusFacts facts = read_status(folder.root());
  ASSERT_EQ(facts.broken_targets.size(), 1U);
  EXPECT_EQ(facts.broken_targets.front().text.find("target ssh:me@192.0.2.1: /usr/bin/ssh: No "),
            0U);
}

TEST(StatusFacts, ADeviceToTheHostThatIsAbsentIsNamed) {
  const FolderRoot folder;
  folder.write("/etc/vmcore-guest.conf", "target = port\ntarget = port:mine\ntarget = vsock\n");
  folder.write("/dev/vsock", "");  // of a driver without a device
  const auto missing = [&] {
    std::string text;
    for (const Remark& remark : read_status(folder.root()).missing_ways) {
      text += remark.text + "\n";
    }
    return text;
  };
  EXPECT_EQ(missing(),
            "target port: this machine has no virtio-serial port named org.vmcorectl.dump.0\n"
            "target port:mine: this machine has no virtio-serial port named mine\n"
            "target vsock: this machine has no vsock device\n");
  folder.write("/sys/class/virtio-ports/vport0p1/name", "mine\n");
  folder.write("/sys/bus/virtio/devices/virtio0/device", "0x0003\n");
  folder.write("/sys/bus/virtio/devices/virtio1/device", "0x0013\n");
  EXPECT_EQ(missing(),
            "target port: this machine has no virtio-serial port named org.vmcorectl.dump.0\n");
}

}  // namespace
}  // namespace vmcore::guest::status
