// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/status/judge_status.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vmcore::guest::status {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;

// A guest whose crash would be saved, in every way.
StatusFacts good() {
  kexec::KernelImage kernel;
  kernel.init_size = 63 * kMiB;
  StatusFacts facts{.release = "6.1.0"};
  facts.kexec = true;
  facts.config = "CONFIG_KEXEC_FILE=y\nCONFIG_CRASH_DUMP=y\nCONFIG_PROC_VMCORE=y\n";
  facts.reserved = 128 * kMiB;
  facts.ranges = {{0x2b000000, 0x32ffffff}};
  facts.image = "/var/lib/vmcore-guest/capture-6.1.0.img";
  facts.need = kexec::need_of(kernel, 2 * kMiB);
  facts.loaded = true;
  facts.record = kexec::LoadRecord{.kernel = "/boot/vmlinuz-6.1.0",
                                   .image = facts.image,
                                   .append = "",
                                   .tag = "",
                                   .command_line = ""};
  facts.stays_valid = true;
  facts.fw_cfg = true;
  facts.vmcoreinfo_device = true;
  facts.panic_driver = true;
  facts.port = true;
  facts.pstore_driver = "erst";
  return facts;
}

bool says(const Finding& finding, std::string_view what) {
  return finding.hint.find(what) != std::string::npos;
}

TEST(JudgeStatus, AGoodGuestPasses) {
  for (const Finding& finding : judge_status(good())) {
    EXPECT_EQ(finding.verdict, Verdict::pass) << finding.id << ": " << finding.hint;
    EXPECT_TRUE(finding.hint.empty()) << finding.id << ": " << finding.hint;
  }
  EXPECT_EQ(judge_reserved(good()).value, "128 MiB, 0x2b000000-0x32ffffff");
  EXPECT_NE(judge_loaded(good()).value.find("by vmcore-guest: /boot/vmlinuz-6.1.0"),
            std::string::npos);
}

TEST(JudgeStatus, KernelsThatCannot) {
  StatusFacts facts = good();
  facts.config = "CONFIG_CRASH_DUMP=y\n# CONFIG_PROC_VMCORE is not set\n";
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::fail);
  EXPECT_TRUE(says(judge_kernel(facts), "without CONFIG_PROC_VMCORE:"));
  facts.config = "";
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::note);
  facts.config = "# CONFIG_KEXEC_FILE is not set\nCONFIG_KEXEC=y\n";
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::pass);
  facts.locks.lockdown = "integrity";
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::fail);
  EXPECT_TRUE(says(judge_kernel(facts), "locked down (integrity)"));
  facts.config = "# CONFIG_KEXEC_FILE is not set\n# CONFIG_KEXEC is not set\n";
  EXPECT_TRUE(says(judge_kernel(facts), "without CONFIG_KEXEC_FILE and CONFIG_KEXEC"));
  facts.kexec = false;
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::fail);
}

TEST(JudgeStatus, TargetsThatCannotBeReached) {
  StatusFacts facts = good();
  EXPECT_EQ(judge_targets(facts).value, "port, vsock");
  facts.capture->targets = {{"port", ""}, {"ssh", "me@192.0.2.1"}};
  EXPECT_EQ(judge_targets(facts).verdict, Verdict::note);
  EXPECT_TRUE(says(judge_targets(facts), "vmcore-guest setup"));
  facts.follows_network = true;
  EXPECT_EQ(judge_targets(facts).verdict, Verdict::pass);
  facts.broken_targets = {{Errc::not_found, "target ssh:me@192.0.2.1: no key"}};
  facts.network = {{Errc::not_found, "no way there"}};
  EXPECT_EQ(judge_targets(facts).verdict, Verdict::warn);
  EXPECT_EQ(judge_targets(facts).hint, "target ssh:me@192.0.2.1: no key; no way there");
  facts.capture->targets.erase(facts.capture->targets.begin());
  EXPECT_EQ(judge_targets(facts).verdict, Verdict::fail);
}

TEST(JudgeStatus, WithoutAReservationOnlyThatIsSaidOfRoom) {
  StatusFacts facts = good();
  facts.reserved = 0;
  const auto findings = judge_status(facts);
  EXPECT_TRUE(std::ranges::none_of(findings, [](const auto& f) { return f.id == "fit"; }));
  EXPECT_EQ(judge_reserved(facts).verdict, Verdict::fail);
  EXPECT_TRUE(says(judge_reserved(facts), "vmcore-guest setup, or boot with crashkernel=128M"));
}

// What is said leads out, never in a circle.
TEST(JudgeStatus, WhyNothingIsReserved) {
  StatusFacts facts = good();
  facts.reserved = 0;
  facts.booted = {.word = "crashkernel=auto", .fault = "the kernel expects a number"};
  facts.kernel_says = "crashkernel: memory value expected";
  facts.next = facts.booted;
  facts.next_file = "/boot/grub/grub.cfg";
  EXPECT_EQ(judge_reserved(facts).verdict, Verdict::fail);
  EXPECT_EQ(judge_reserved(facts).hint,
            "the kernel was booted with crashkernel=auto, and reserved nothing: the kernel expects "
            "a number (its log: \"crashkernel: memory value expected\"): run vmcore-guest setup "
            "--crashkernel 128M, and reboot");
  facts.next = {.word = "crashkernel=128M"};
  EXPECT_EQ(judge_reserved(facts).hint,
            "reboot: /boot/grub/grub.cfg has crashkernel=128M for the next boot");
  facts.booted = {};
  EXPECT_TRUE(says(judge_reserved(facts), "reboot: "));
  facts.next = {.word = "crashkernel=0M", .fault = "it reserves nothing"};
  EXPECT_TRUE(says(judge_reserved(facts), "has crashkernel=0M, which does not serve"));
  facts.next = {};
  EXPECT_TRUE(says(judge_reserved(facts), "run vmcore-guest setup, or boot with"));
  facts.reserved = 128 * kMiB;
  EXPECT_EQ(judge_reserved(facts).verdict, Verdict::note);
  EXPECT_TRUE(says(judge_reserved(facts), "the next boot may reserve nothing"));
}

TEST(JudgeStatus, ATargetThatDoesNotExistNeverPasses) {
  StatusFacts facts = good();
  facts.missing_ways = {{Errc::not_found, "target vsock: this machine has no vsock device"}};
  EXPECT_EQ(judge_targets(facts).verdict, Verdict::note);
  EXPECT_EQ(judge_targets(facts).hint,
            "target vsock: this machine has no vsock device; the other targets are tried");
  facts.broken_targets = {{Errc::not_found, "target file:/dev/vdb:/: not there"}};
  EXPECT_EQ(judge_targets(facts).verdict, Verdict::fail);
  facts.capture->targets.push_back({"file", "/dev/vda:/"});
  EXPECT_EQ(judge_targets(facts).verdict, Verdict::warn);
  facts.missing_ways.clear();
  facts.capture->targets = {{"file", "/dev/vdb:/"}};
  EXPECT_EQ(judge_targets(facts).verdict, Verdict::fail);
}

TEST(JudgeStatus, ASetupThatWasCutShort) {
  StatusFacts facts = good();
  facts.undone = {"`/usr/sbin/update-grub` has not succeeded", "/etc/x is as it was before"};
  EXPECT_EQ(judge_setup(facts).verdict, Verdict::warn);
  EXPECT_TRUE(says(judge_setup(facts),
                   "not succeeded, /etc/x is as it was before: run vmcore-guest setup again"));
}

TEST(JudgeStatus, ALoadThatIsForbidden) {
  StatusFacts facts = good();
  facts.loaded = false;
  facts.pstore_driver = "";
  EXPECT_EQ(judge_loaded(facts).hint, "run vmcore-guest load");
  facts.locks = {.disabled = true};
  EXPECT_TRUE(says(judge_loaded(facts), "boot with kexec_load_disabled=0"));
}

TEST(JudgeStatus, RoomTooSmallOrNarrow) {
  StatusFacts facts = good();
  facts.reserved = 64 * kMiB;
  EXPECT_EQ(judge_fit(facts).verdict, Verdict::fail);
  facts.reserved = 96 * kMiB;
  EXPECT_EQ(judge_fit(facts).verdict, Verdict::warn);
  facts.need = fail(Errc::not_found, "no image");
  EXPECT_EQ(judge_fit(facts).verdict, Verdict::note);
}

TEST(JudgeStatus, TheImage) {
  StatusFacts facts = good();
  facts.image_stale = true;
  EXPECT_EQ(judge_image(facts).verdict, Verdict::warn);
  EXPECT_TRUE(says(judge_image(facts), "older than"));
  facts.image_stale = false;
  facts.record->image = facts.image = "/run/vmcore-guest/capture-" + facts.release + ".img";
  EXPECT_EQ(judge_image(facts).verdict, Verdict::warn);
  EXPECT_TRUE(says(judge_image(facts), "only until the next boot"));
  facts.record->image = "/another";  // chosen by --initrd
  EXPECT_EQ(judge_image(facts).verdict, Verdict::pass);
  facts.capture = fail(Errc::invalid, "line 1");
  EXPECT_EQ(judge_image(facts).verdict, Verdict::fail);
  facts = good();
  facts.record = std::nullopt;
  facts.image = "";
  EXPECT_EQ(judge_image(facts).verdict, Verdict::warn);
}

TEST(JudgeStatus, TheSlot) {
  StatusFacts facts = good();
  facts.record = std::nullopt;
  EXPECT_EQ(judge_loaded(facts).verdict, Verdict::warn);
  EXPECT_EQ(judge_loaded(facts).value, "by another program");
  facts.loaded = false;
  EXPECT_EQ(judge_loaded(facts).verdict, Verdict::fail);
  EXPECT_TRUE(says(judge_loaded(facts), "run vmcore-guest load"));
}

TEST(JudgeStatus, Hotplug) {
  StatusFacts facts = good();
  facts.stays_valid = false;
  EXPECT_EQ(judge_hotplug(facts).verdict, Verdict::warn);
  facts.reload_rule = true;
  EXPECT_EQ(judge_hotplug(facts).verdict, Verdict::pass);
}

TEST(JudgeStatus, AWayToTheHostIsNeededUnlessThereIsAnother) {
  StatusFacts facts = good();
  facts.port = false;
  facts.missing_ways = {{Errc::not_found, "port"}, {Errc::not_found, "vsock"}};
  EXPECT_EQ(judge_channel(facts).verdict, Verdict::fail);
  EXPECT_TRUE(says(judge_channel(facts), "org.vmcorectl.dump.0"));
  facts.missing_ways.pop_back();
  EXPECT_EQ(judge_channel(facts).verdict, Verdict::pass);
  facts.missing_ways.clear();
  config::CaptureConfig config;
  config.targets = {{"file", "UUID=1:/var/crash"}};
  facts.capture = config;
  EXPECT_EQ(judge_channel(facts).verdict, Verdict::note);
  facts.port = true;
  EXPECT_EQ(judge_channel(facts).verdict, Verdict::note);
}

TEST(JudgeStatus, Devices) {
  StatusFacts facts = good();
  facts.panic_driver = false;
  facts.vmcoreinfo_device = false;
  EXPECT_TRUE(says(judge_panic(facts), "modprobe pvpanic-pci"));
  EXPECT_TRUE(says(judge_vmcoreinfo(facts), "vmcorectl check --fix"));
  facts.fw_cfg = false;
  EXPECT_EQ(judge_vmcoreinfo(facts).hint, "run modprobe qemu_fw_cfg");
}

// The log alone is less than a dump.
TEST(JudgeStatus, PstoreIsPartialCover) {
  StatusFacts facts = good();
  EXPECT_EQ(judge_pstore(facts).value, "kept by pstore (erst)");
  facts.loaded = false;
  EXPECT_EQ(judge_loaded(facts).verdict, Verdict::fail);
  EXPECT_EQ(judge_loaded(facts).hint,
            "run vmcore-guest load; until then only the log of a crash is kept, by pstore");
  facts.pstore_driver = "";
  EXPECT_EQ(judge_pstore(facts).verdict, Verdict::note);
  EXPECT_TRUE(says(judge_pstore(facts), "vmcore-guest setup --pstore"));
}

// It is judged only if it is set up.
TEST(JudgeStatus, TheCopyInTheInitramfs) {
  const auto is_judged = [](const StatusFacts& facts) {
    const auto findings = judge_status(facts);
    return std::ranges::find(findings, "early", &Finding::id) != findings.end();
  };
  StatusFacts facts = good();
  EXPECT_FALSE(is_judged(facts));
  EarlyFacts& early = facts.early;
  early.set_up = true;
  early.command = "update-initramfs -u -k 6.1.0";
  EXPECT_TRUE(is_judged(facts));
  EXPECT_EQ(judge_early(facts).verdict, Verdict::warn);
  EXPECT_EQ(judge_early(facts).hint,
            "the initramfs of 6.1.0 has none: run update-initramfs -u -k 6.1.0");
  early.copy = kexec::EarlyCopy{.kernel = "/boot/vmlinuz-6.1.0",
                                .image = "/var/lib/vmcore-guest/capture-6.1.0.img",
                                .sum = "1",
                                .size = 13 * kMiB};
  early.current = true;
  EXPECT_EQ(judge_early(facts).verdict, Verdict::note);
  EXPECT_EQ(judge_early(facts).value, "13.0 MiB");
  early.loaded = kexec::EarlyLoad{.at = std::chrono::milliseconds(1290), .error = ""};
  EXPECT_EQ(judge_early(facts).verdict, Verdict::pass);
  EXPECT_EQ(judge_early(facts).value, "13.0 MiB, loaded 1.3 s after the start of this boot");
  early.current = false;
  EXPECT_EQ(judge_early(facts).verdict, Verdict::warn);
  EXPECT_TRUE(says(judge_early(facts), "run vmcore-guest load, then run update-initramfs -u"));
  early.current = true;
  early.loaded->error = "no memory is reserved";
  EXPECT_EQ(judge_early(facts).verdict, Verdict::warn);
  EXPECT_TRUE(says(judge_early(facts), "not loaded at this boot: no memory is reserved"));
  early.made = false;
  EXPECT_TRUE(says(judge_early(facts), "the initramfs of 6.1.0 has none"));
}

TEST(JudgeStatus, EarlierCrashes) {
  StatusFacts facts = good();
  EXPECT_EQ(motd(facts), "");
  EXPECT_EQ(judge_last(facts).verdict, Verdict::pass);
  EXPECT_EQ(judge_last(facts).value, "not known: no target is in this guest");
  facts.capture->targets.push_back({"file", "/dev/vda:/crash"});
  EXPECT_TRUE(judge_last(facts).value.starts_with("none is known in this guest; "));
  facts.unseen_targets = {"file:/dev/vdb:/crash"};
  EXPECT_EQ(judge_last(facts).verdict, Verdict::note);
  EXPECT_TRUE(says(judge_last(facts), "cannot see the folder of file:/dev/vdb:/crash"));
  facts.last = SavedDump{.path = "/var/crash/x/vmcore", .time = "x", .complete = true};
  EXPECT_EQ(judge_last(facts).verdict, Verdict::note);
  EXPECT_EQ(motd(facts), "This guest crashed. Its dump: /var/crash/x/vmcore\n");
  facts.last->complete = false;
  EXPECT_EQ(judge_last(facts).verdict, Verdict::warn);
  facts.last->path = "/dev/vdb";
  EXPECT_EQ(
      motd(facts),
      "This guest crashed. Its incomplete dump: /dev/vdb (extract it with vmcorectl receive)\n");
  facts.last->path = "/var/crash/x/dmesg.txt";
  facts.last->only_log = true;
  EXPECT_EQ(motd(facts),
            "This guest crashed. Its memory could not be saved; its log: /var/crash/x/dmesg.txt\n");
  EXPECT_TRUE(says(judge_last(facts), "the memory of the last crash could not be saved"));
  facts.pstore = "/var/lib/vmcore-guest/pstore/y";
  EXPECT_NE(motd(facts).find("/var/lib/vmcore-guest/pstore/y"), std::string::npos);
}

TEST(IsConfigured, WholeNamesOnly) {
  const std::string_view config =
      "CONFIG_CRASH_DUMP_X=y\n# CONFIG_KEXEC is not set\nCONFIG_A=m\nCONFIG_B=12";
  EXPECT_EQ(is_configured(config, "CRASH_DUMP"), std::nullopt);
  EXPECT_EQ(is_configured(config, "KEXEC"), false);
  EXPECT_EQ(is_configured(config, "A"), true);
  EXPECT_EQ(is_configured(config, "B"), false);
}

}  // namespace
}  // namespace vmcore::guest::status
