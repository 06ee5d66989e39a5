// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/command_line.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "guest/config/kernel_words.h"

namespace vmcore::guest::kexec {
namespace {

using Words = std::vector<std::string>;

bool has(const Words& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

TEST(CaptureCommandLine, ConsolesAndTheMachineAreInherited) {
  const Words words = config::kernel_words(capture_command_line(
      "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet console=tty0 console=ttyS0,115200 noapic "
      "virtio_mmio.device=4K@0xd0000000:5 crashkernel=128M hugepages=512 resume=/dev/vda2\n",
      ""));
  for (const char* word : {"console=tty0", "console=ttyS0,115200", "noapic",
                           "virtio_mmio.device=4K@0xd0000000:5", "nr_cpus=1", "rdinit=/init"}) {
    EXPECT_TRUE(has(words, word)) << word;
  }
  // The last console is the one of /dev/console.
  EXPECT_LT(std::ranges::find(words, "console=tty0"),
            std::ranges::find(words, "console=ttyS0,115200"));
  for (const char* word : {"root=/dev/vda1", "crashkernel=128M", "hugepages=512",
                           "resume=/dev/vda2", "quiet", "BOOT_IMAGE=/vmlinuz"}) {
    EXPECT_FALSE(has(words, word)) << word;
  }
}

TEST(CaptureCommandLine, NamesAreComparedWhole) {
  const Words words = config::kernel_words(
      capture_command_line("consoleblank=0 pcie_aspm=off 8250.nr_uarts=8", ""));
  EXPECT_FALSE(has(words, "consoleblank=0"));
  EXPECT_FALSE(has(words, "pcie_aspm=off"));
  EXPECT_TRUE(has(words, "8250.nr_uarts=8"));
}

TEST(CaptureCommandLine, WhatIsForInitIsNotInherited) {
  EXPECT_FALSE(has(config::kernel_words(capture_command_line("quiet -- console=ttyS9", "")),
                   "console=ttyS9"));
}

TEST(CaptureCommandLine, WhatIsAppendedComesLast) {
  const std::string line =
      capture_command_line("console=ttyS0", "panic=0 vmcore.target=\"raw:/dev/v db\"");
  EXPECT_TRUE(line.ends_with(" console=ttyS0 panic=0 vmcore.target=\"raw:/dev/v db\"")) << line;
}

TEST(RebootCommandLine, IsTheRunningOneWithoutTheBootLoadersWords) {
  EXPECT_EQ(
      reboot_command_line("BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro initrd=\\i.img quiet\n", "single"),
      "root=/dev/vda1 ro quiet single");
}

}  // namespace
}  // namespace vmcore::guest::kexec
