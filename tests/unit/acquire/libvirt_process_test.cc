#include "src/acquire/libvirt_process.h"

#include <gtest/gtest.h>

namespace vmcore::acquire {
namespace {

TEST(PidFile, LiesWhereTheDriverOfTheUriKeepsIt) {
  const auto path = [](const char* uri) { return pid_file(uri, "/run/user/7", "vm1"); };
  EXPECT_EQ(path("qemu:///system"), "/run/libvirt/qemu/vm1.pid");
  EXPECT_EQ(path("qemu+unix:///system?socket=/x"), "/run/libvirt/qemu/vm1.pid");
  EXPECT_EQ(path("qemu:///session"), "/run/user/7/libvirt/qemu/run/vm1.pid");
  EXPECT_EQ(path("qemu:///session?socket=/run/x/libvirt-sock"),
            "/run/user/7/libvirt/qemu/run/vm1.pid");
  EXPECT_EQ(path("qemu:///embed?root=/tmp/root"), "/tmp/root/run/qemu/vm1.pid");
  EXPECT_EQ(path("qemu:///embed?x=y&root=/tmp/root&z"), "/tmp/root/run/qemu/vm1.pid");
}

}  // namespace
}  // namespace vmcore::acquire
