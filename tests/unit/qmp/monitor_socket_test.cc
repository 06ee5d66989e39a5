// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/monitor_socket.h"

#include <gtest/gtest.h>

namespace vmcore::qmp {
namespace {

TEST(IsLibvirtPath, KnowsItsFolders) {
  EXPECT_TRUE(is_libvirt_path("/run/libvirt/qemu/x.monitor"));
  EXPECT_TRUE(is_libvirt_path("/var/lib/libvirt/qemu/domain-3-vm1/monitor.sock"));
  EXPECT_TRUE(is_libvirt_path("/home/u/.config/libvirt/qemu/lib/domain-1-a/monitor.sock"));
  EXPECT_TRUE(is_libvirt_path("/var/lib/libvirt/qemu/../qemu/domain-3-vm1/monitor.sock"));
  EXPECT_FALSE(is_libvirt_path("/run/vm1/monitor.sock"));
  EXPECT_FALSE(is_libvirt_path("/run/vm1/qmp.sock"));
}

TEST(OtherUse, ReadsTheCommandLine) {
  const std::vector<std::string> words{"qemu-system-x86_64",
                                       "-qmp",
                                       "unix:/run/qmp,server=on",
                                       "-monitor",
                                       "unix:/run/hmp,server=on",
                                       "-serial",
                                       "unix:/run/serial,server=on",
                                       "-chardev",
                                       "socket,id=ga0,path=/run/ga,server=on",
                                       "-device",
                                       "virtserialport,chardev=ga0,name=org.qemu.guest_agent.0",
                                       "-chardev",
                                       "socket,path=/run/mon,id=m1,server=on",
                                       "-mon",
                                       "chardev=m1,mode=control",
                                       "-chardev",
                                       "socket,path=/run/people,id=m2,server=on",
                                       "-mon",
                                       "m2,mode=readline",
                                       "-chardev",
                                       "socket,path=/run/console,id=c",
                                       "-serial",
                                       "chardev:c"};
  EXPECT_EQ(other_use(words, "/run/qmp"), "");
  EXPECT_EQ(other_use(words, "/run/mon"), "");
  EXPECT_EQ(other_use(words, "/run/hmp"), "a monitor for people (HMP)");
  EXPECT_EQ(other_use(words, "/run/people"), "a monitor for people (HMP)");
  EXPECT_EQ(other_use(words, "/run/serial"), "a serial console");
  EXPECT_EQ(other_use(words, "/run/console"), "a serial console");
  EXPECT_EQ(other_use(words, "/run/ga"), "the guest agent");
  EXPECT_EQ(other_use(words, "/run/unknown"), "");
  EXPECT_EQ(other_use({}, "/run/qmp"), "");
  const std::vector<std::string> relative{"qemu", "-serial", "unix:vm/serial,server=on"};
  EXPECT_EQ(other_use(relative, "/run/vm/serial"), "a serial console");
  EXPECT_EQ(other_use(relative, "/run/othervm/serial"), "");
  EXPECT_EQ(other_use({"qemu", "-serial", "unix:"}, "/run/vm/serial"), "");
}

}  // namespace
}  // namespace vmcore::qmp
