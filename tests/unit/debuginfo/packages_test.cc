// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/packages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmcore::debuginfo {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

struct Case {
  const char* banner;  // from a machine or a package of that distribution
  const char* distribution;
  const char* package;
  const char* repository;  // a part of one line
};

class Advice : public ::testing::TestWithParam<Case> {};

TEST_P(Advice, ByBanner) {
  const Case& of = GetParam();
  const auto advice = advise({.release = release_of_banner(of.banner), .banner = of.banner});
  EXPECT_EQ(advice.distribution, of.distribution);
  EXPECT_EQ(advice.package, of.package);
  if (*of.repository != '\0') {
    EXPECT_THAT(advice.repositories, Contains(HasSubstr(of.repository)));
    EXPECT_THAT(advice.commands, Contains(HasSubstr(advice.package)));
  }
  EXPECT_THAT(advice.repositories, Each(Not(HasSubstr("{"))));
  EXPECT_THAT(advice.commands, Each(Not(HasSubstr("{"))));
}

INSTANTIATE_TEST_SUITE_P(
    Banners, Advice,
    ::testing::Values(
        Case{"Linux version 6.1.0-57-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian "
             "12.2.0-14+deb12u1) 12.2.0) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-3",
             "Debian", "linux-image-6.1.0-57-amd64-dbg",
             "deb http://security.debian.org/debian-security bookworm-security main"},
        Case{"Linux version 6.12.118+deb13-amd64 (debian-kernel@lists.debian.org) #1 SMP", "Debian",
             "linux-image-6.12.118+deb13-amd64-dbg", "debian trixie main"},
        Case{"Linux version 6.8.0-45-generic (buildd@lcy02-amd64-115) (x86_64-linux-gnu-gcc-13 "
             "(Ubuntu 13.2.0-23ubuntu4) 13.2.0) #45-Ubuntu SMP PREEMPT_DYNAMIC",
             "Ubuntu", "linux-image-unsigned-6.8.0-45-generic-dbgsym", "ddebs.ubuntu.com noble"},
        Case{"Linux version 6.5.0-41-generic (buildd@lcy02) #41~22.04.2-Ubuntu SMP", "Ubuntu",
             "linux-image-unsigned-6.5.0-41-generic-dbgsym", "jammy-updates"},
        Case{"Linux version 6.8.5-301.fc40.x86_64 (mockbuild@1b4b4d8bd4e14ac0) (gcc (GCC) 14) #1",
             "Fedora", "kernel-debuginfo-6.8.5-301.fc40.x86_64", "updates-debuginfo"},
        Case{"Linux version 5.14.0-427.13.1.el9_4.x86_64 "
             "(mockbuild@x86-vm-07.build.eng.bos.redhat.com) #1 SMP",
             "RHEL", "kernel-debuginfo-5.14.0-427.13.1.el9_4.x86_64",
             "rhel-9-for-x86_64-baseos-debug-rpms"},
        Case{"Linux version 5.14.0-427.el9.x86_64+rt (mockbuild@x86-vm.build.eng.bos.redhat.com)",
             "RHEL", "kernel-rt-debuginfo-5.14.0-427.el9.x86_64", "rhel-9"},
        Case{"Linux version 5.14.0-503.el9.x86_64 (mockbuild@x86-05.stream.rdu2.redhat.com "
             "centos.org)",
             "CentOS", "kernel-debuginfo-5.14.0-503.el9.x86_64", "baseos-debug"},
        Case{"Linux version 4.18.0-553.el8_10.x86_64 (mockbuild@x64-builder02.almalinux.org)",
             "AlmaLinux", "kernel-debuginfo-4.18.0-553.el8_10.x86_64", "baseos-debuginfo"},
        Case{"Linux version 5.14.0-427.el9_4.x86_64 "
             "(mockbuild@iad1-prod-build001.bld.equ.rockylinux.org)",
             "Rocky Linux", "kernel-debuginfo-5.14.0-427.el9_4.x86_64", "baseos-debug"},
        Case{"Linux version 5.15.0-206.153.7.el8uek.x86_64 (mockbuild@host-100-100-224-61)",
             "Oracle Linux", "kernel-uek-debuginfo-5.15.0-206.153.7.el8uek.x86_64",
             "oss.oracle.com/ol8/debuginfo"},
        Case{"Linux version 6.1.90-99.173.amzn2023.x86_64 (mockbuild@ip-10-0-43-211)",
             "Amazon Linux", "kernel-debuginfo-6.1.90-99.173.amzn2023.x86_64",
             "amazonlinux-debuginfo"},
        Case{"Linux version 6.12.20-23.97.amzn2023.x86_64 (mockbuild@ip-10-0-43-211)",
             "Amazon Linux", "kernel6.12-debuginfo-6.12.20-23.97.amzn2023.x86_64", ""},
        Case{"Linux version 6.4.0-150600.23.25-default (geeko@buildhost) (gcc (SUSE Linux) 7.5.0)",
             "SUSE", "kernel-default-debuginfo", "repo-debug"},
        Case{"Linux version 6.6.8-arch1-1 (linux@archlinux) (gcc (GCC) 13.2.1) #1 SMP",
             "Arch Linux", "", ""},
        Case{"Linux version 6.6.31-0-lts (buildozer@build-3-20-x86_64) (gcc (Alpine 13.2.1)) #1",
             "Alpine Linux", "", ""},
        Case{"Linux version 6.9.0 (me@desk) (gcc-12 (Debian 12.2.0-14) 12.2.0) #3 SMP", "", "",
             ""}));

TEST(AdviceOf, AReleaseWithoutABanner) {
  EXPECT_EQ(advise({.release = "6.12.118+deb13-amd64"}).distribution, "Debian");
  EXPECT_EQ(advise({.release = "5.15.0-206.153.7.el8uek.x86_64"}).distribution, "Oracle Linux");
}

TEST(AdviceOf, AHostileReleaseIsInNoCommand) {
  const auto advice = advise({.release = "6.1$(reboot)+deb12",
                              .banner = "Linux version 6 (debian-kernel@lists.debian.org)"});
  EXPECT_TRUE(advice.commands.empty());
  EXPECT_EQ(advice.package, "");
}

TEST(IsPackageOf, Names) {
  constexpr const char* kRelease = "6.1.0-57-amd64";
  EXPECT_TRUE(is_package_of("linux-image-6.1.0-57-amd64-dbg_6.1.192-3_amd64.deb", kRelease));
  EXPECT_FALSE(is_package_of("linux-image-6.1.0-56-amd64-dbg_6.1.190-1_amd64.deb", kRelease));
  EXPECT_FALSE(is_package_of("vmlinux-6.1.0-57-amd64", kRelease));
  EXPECT_TRUE(is_package_of("kernel-default-debuginfo-6.4.0-150600.23.25.x86_64.rpm",
                            "6.4.0-150600.23.25-default"));
}

}  // namespace
}  // namespace vmcore::debuginfo
