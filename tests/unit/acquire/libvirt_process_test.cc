// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/process.h"

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

TEST(MostLowMemory, IsTheLastThatQemuWasTold) {
  using Words = std::vector<std::string>;
  const auto most = [](const Words& words) {
    const auto found = most_low_memory(words);
    return found ? found->value_or(0) : ~std::uint64_t{0};
  };
  constexpr std::uint64_t kGiB = 1U << 30;
  EXPECT_EQ(most({"qemu", "-machine", "pc-q35-7.2,usb=off"}), 0U);
  EXPECT_EQ(most({"qemu", "-machine", "pc-q35-7.2,usb=off,max-ram-below-4g=2G,smm=on"}), 2 * kGiB);
  EXPECT_EQ(most({"-machine", "q35", "-M", "max-ram-below-4g=1073741824"}), kGiB);
  EXPECT_EQ(most({"-M", "max-ram-below-4g=1g", "-machine", "max-ram-below-4g=3072M"}), 3 * kGiB);
  EXPECT_EQ(most({"-name", "max-ram-below-4g=1G", "-machine"}), 0U);
  for (const char* size : {"", "x", "1.5G", "0", "0x40000000", "1GiB", "99999999T"}) {
    EXPECT_EQ(most({"-M", fmt::format("max-ram-below-4g={}", size)}), ~std::uint64_t{0}) << size;
  }
}

}  // namespace
}  // namespace vmcore::acquire
