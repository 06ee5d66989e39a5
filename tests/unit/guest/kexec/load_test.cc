// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/load.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "guest/kexec/kexec.h"
#include "tests/unit/guest/folder.h"

namespace vmcore::guest::kexec {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;

Need need(double kernel_mib, double image_mib) {
  KernelImage kernel;
  kernel.init_size = static_cast<std::uint64_t>(kernel_mib * kMiB);
  return need_of(kernel, static_cast<std::uint64_t>(image_mib * kMiB));
}

TEST(Estimate, DebiansKernels) {
  EXPECT_EQ(crashkernel_word(need(63.59, 1.4)), "crashkernel=128M");  // 6.1 generic
  EXPECT_EQ(crashkernel_word(need(63.59, 4)), "crashkernel=128M");
  EXPECT_EQ(crashkernel_word(need(51.5, 1.4)), "crashkernel=112M");  // 6.1 cloud
  EXPECT_EQ(crashkernel_word(need(51.5, 4)), "crashkernel=112M");
  // Where they were seen to run out of memory they are refused, where they ran they are not.
  EXPECT_FALSE(check_fit(need(63.59, 1.4), 84 * kMiB));
  EXPECT_TRUE(check_fit(need(63.59, 1.4), 92 * kMiB));
  EXPECT_FALSE(check_fit(need(51.5, 1.4), 68 * kMiB));
  EXPECT_TRUE(check_fit(need(51.5, 1.4), 80 * kMiB));
}

TEST(Estimate, TheHugestHeaderDoesNotOverflow) {
  const Need most = need(4095.99, 1024.0 * 1024);
  EXPECT_GT(most.minimum, most.kernel);
  EXPECT_GT(most.recommended, most.minimum);
}

TEST(CheckFit, ARefusalHasTheNumbersAndTheRemedy) {
  const auto none = check_fit(need(63.5, 2), 0);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message,
            "no memory is reserved for a capture kernel: boot with crashkernel=128M (`vmcore-guest "
            "setup` adds it)");
  const auto little = check_fit(need(63.5, 2), 64 * kMiB);
  ASSERT_FALSE(little);
  EXPECT_EQ(little.error().code, Errc::no_space);
  EXPECT_EQ(
      little.error().message,
      "64.0 MiB are reserved, and the capture kernel needs 63.5 MiB for the kernel (its "
      "init_size) + 2 x 2.0 MiB for the capture image (packed and unpacked) + 24 MiB to run = "
      "91.5 MiB at least; with 28 MiB to spare, rounded up to a multiple of 16: 128 MiB. Boot with "
      "crashkernel=128M");
}

TEST(CheckFit, NarrowIsTold) {
  EXPECT_EQ(check_fit(need(63.5, 2), 96 * kMiB)->size(), 1U);
  EXPECT_EQ(check_fit(need(63.5, 2), 112 * kMiB)->size(), 0U);
}

TEST(LoadRecord, IsReadBack) {
  const LoadRecord record{.kernel = "/boot/vmlinuz-6.1",
                          .image = "/var/lib/vmcore-guest/capture-6.1.img",
                          .append = "vmcore.target=\"raw:/dev/v b\"",
                          .tag = "t",
                          .command_line = "a b",
                          .started = std::chrono::nanoseconds(1'234'567'890'123),
                          .force = true,
                          .early = "0123"};
  EXPECT_EQ(parse_load_record(format_load_record(record)), record);
}

TEST(LoadRecord, WhatIsNoneIsNone) {
  for (const char* text : {"", "{", "[]", "{}", "{\"kernel\": 1}",
                           R"({"kernel":"","image":"","append":"","tag":"","command_line":""})"}) {
    EXPECT_EQ(parse_load_record(text), std::nullopt) << text;
  }
}

TEST(LoadPanicKernel, RefusesAWordThatTheCaptureSideWouldSkip) {
  const Folder root;
  for (const char* const word : {"vmcore.encrypt-to=x25519:12", "vmcore.encrypt_to=x",
                                 "vmcore.level", "\"vmcore.keep=a b\""}) {
    LoadRequest request;
    request.append = std::string("quiet vmcore.level=1 ") + word;
    const auto loaded = load_capture_kernel(root.root(), request);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::invalid);
    EXPECT_EQ(loaded.error().message.find(std::string("--append: ") + word + ": "), 0U)
        << loaded.error().message;
  }
}

TEST(LoadErrors, SayWhatToDo) {
  for (const auto& [error, part] :
       std::vector<std::pair<int, std::string>>{{EADDRNOTAVAIL, "vmcore-guest estimate"},
                                                {EBUSY, "try again"},
                                                {ENOEXEC, "bzImage"},
                                                {EACCES, "ima_policy="},
                                                {EKEYREJECTED, "mokutil --import"},
                                                {ENOKEY, "mokutil --import"},
                                                {ENODATA, "mokutil --import"},
                                                {EINVAL, "crashkernel="},
                                                {EIO, "Input/output error"}}) {
    const std::string text = explain_load_error(Slot::crash, error, {});
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
}

TEST(LoadErrors, ADenialNamesItsCause) {
  const auto text = [](LoadLocks locks) { return explain_load_error(Slot::crash, EPERM, locks); };
  EXPECT_NE(text({.root = false}).find("run it as root"), std::string::npos);
  EXPECT_NE(text({.disabled = true}).find("boot with kexec_load_disabled=0"), std::string::npos);
  EXPECT_NE(text({.limit = 0}).find("vmcore-guest lock"), std::string::npos);
  EXPECT_NE(text({.limit = -1, .lockdown = "integrity"}).find("(integrity)"), std::string::npos);
  EXPECT_NE(text({.limit = -1, .lockdown = "integrity"}).find("mokutil"), std::string::npos);
  EXPECT_NE(text({.limit = -1, .lockdown = "none"}).find("security module"), std::string::npos);
}

TEST(LoadLocks, AreRead) {
  const Folder folder;
  folder.write("/proc/sys/kernel/kexec_load_disabled", "1\n");
  folder.write("/proc/sys/kernel/kexec_load_limit_panic", "-1\n");
  folder.write("/proc/sys/kernel/kexec_load_limit_reboot", "0\n");
  folder.write("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
  const LoadLocks locks = read_load_locks(folder.root(), Slot::crash);
  EXPECT_TRUE(locks.disabled);
  EXPECT_EQ(locks.limit, -1);
  EXPECT_EQ(locks.lockdown, "integrity");
  EXPECT_EQ(read_load_locks(folder.root(), Slot::reboot).limit, 0);
  EXPECT_EQ(read_load_locks(Folder().root(), Slot::crash).limit, std::nullopt);
}

// A kernel that is loaded and has no record would be another program's.
TEST(LoadRecord, ComesBeforeTheKernel) {
  const Folder folder;
  folder.write("/run/vmcore-guest/loaded/in-its-place", "");
  folder.write("/sys/kernel/kexec_crash_size", "0\n");
  folder.write("/proc/cmdline", "quiet\n");
  std::string kernel(0x400, '\0');
  kernel.replace(0x202, 4, "HdrS").replace(0x206, 2, "\x0f\x02").replace(0x236, 1, "\1");
  kernel.replace(0x239, 1, "\7");
  folder.write("/not-on-the-host/vmlinuz", kernel);
  folder.write("/not-on-the-host/image", "");
  const auto loaded = load_capture_kernel(folder.root(), {.kernel = "/not-on-the-host/vmlinuz",
                                                          .image = "/not-on-the-host/image",
                                                          .append = "",
                                                          .tag = "",
                                                          .force = true});
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("/run/vmcore-guest/loaded"), std::string::npos)
      << loaded.error().message;
}

}  // namespace
}  // namespace vmcore::guest::kexec
