// SPDX-License-Identifier: GPL-2.0-or-later
// The whole of setup and remove, on roots written as text.
#include <gmock/gmock.h>

#include "guest/setup/apply.h"
#include "guest/setup/early_hooks.h"
#include "guest/setup/kernels.h"
#include "guest/setup/make_plan.h"
#include "guest/setup/pstore.h"
#include "guest/setup/services.h"
#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::setup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kUnit = "/etc/systemd/system/vmcore-guest.service";
constexpr const char* kDropIn = "/etc/default/grub.d/vmcore-guest.cfg";
constexpr const char* kOtherLink = "/etc/systemd/system/basic.target.wants/kdump-tools.service";

class Setup : public ::testing::Test {
 protected:
  void SetUp() override {
    root.write("/usr/sbin/vmcore-guest", "");
    root.write("/usr/lib/systemd/systemd", "");
    root.write("/usr/sbin/grub-mkconfig", "default/grub.d");
    root.write("/etc/default/grub", "GRUB_TIMEOUT=1\n");
    root.write("/lib/modules/6.1.0-1/modules.dep",
               "kernel/a/qemu_fw_cfg.ko.xz:\nkernel/b/pvpanic.ko.xz: kernel/c.ko.xz\n");
  }
  void enable_kdump_tools() const {
    root.write("/usr/lib/systemd/system/kdump-tools.service", "");
    root.link(kOtherLink, "/lib/systemd/system/kdump-tools.service");
  }

  // The number of files that it changed, or why it did not.
  Result<std::size_t> setup(SetupOptions options = {}) const {
    const root::Root opened = root.root();
    TRY_ASSIGN(const Record earlier, read_record(opened));
    TRY_ASSIGN(const Plan plan, make_plan(opened, earlier, options));
    Record record;
    TRY_ASSIGN(record.changes, plan.tree.to_remember());
    record.words = plan.words;
    record.slot = options.slot;
    TRY_ASSIGN(const auto changes, plan.tree.to_write());
    TRY(apply(opened, changes, std::move(record), earlier, {}));
    return changes.size();
  }
  void remove() const {
    const root::Root opened = root.root();
    const Record earlier = read_record(opened).value();
    root::Tree tree(opened);
    ASSERT_TRUE(set_base(tree, earlier));
    const auto done = apply(opened, tree.to_write().value(), {}, earlier, {});
    ASSERT_TRUE(done) << done.error().message;
  }

  FolderRoot root;
};

TEST_F(Setup, IsDoneOnceAndTakenBackWhole) {
  const auto before = root.picture();
  ASSERT_GT(setup().value(), 4U);
  EXPECT_THAT(root.read(kUnit), HasSubstr("ExecStart=/usr/sbin/vmcore-guest load\n"));
  EXPECT_THAT(root.read(kUnit), HasSubstr("ExecReload=/usr/sbin/vmcore-guest load --reload\n"));
  EXPECT_THAT(root.read("/etc/modules-load.d/vmcore-guest.conf"),
              HasSubstr("\nqemu_fw_cfg\npvpanic\n"));
  const auto after = root.picture();
  EXPECT_EQ(setup().value(), 0U);
  EXPECT_EQ(root.picture(), after);
  remove();
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, ATargetThatCannotWorkIsLeftToYou) {
  root.write("/etc/vmcore-guest.conf", "target = port\ntarget = file:/dev/mapper/vg-var:/crash\n");
  SetupOptions options;
  const auto plan = make_plan(root.root(), {}, options);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_THAT(plan->by_hand, testing::Contains(HasSubstr(
                                 "vmcore-guest.conf: target file: /dev/mapper/vg-var is on "
                                 "LVM, LUKS")));
  root.write("/etc/vmcore-guest.conf", "target = ssh:me@192.0.2.1\n");
  EXPECT_THAT(make_plan(root.root(), {}, options)->by_hand,
              testing::Contains(HasSubstr("vmcore-guest.conf: target ssh: /usr/bin/ssh: ")));
  root.write("/etc/vmcore-guest.conf", "targets = port\n");
  EXPECT_THAT(make_plan(root.root(), {}, options).error().message,
              HasSubstr("/etc/vmcore-guest.conf: line 1: "));
}

TEST_F(Setup, LooksAtTheNetworkAgainWhereATargetNeedsIt) {
  const std::string timer(kNetworkTimer);
  const std::string link = "/etc/systemd/system/timers.target.wants/vmcore-guest-network.timer";
  ASSERT_TRUE(setup());
  EXPECT_FALSE(root.exists(timer));
  remove();
  const std::string target = "target = ssh:me@192.0.2.1\n";
  root.write("/etc/vmcore-guest.conf", target + "network = eth0,192.0.2.2/24\n");
  ASSERT_TRUE(setup());
  EXPECT_FALSE(root.exists(timer));  // it does not change
  remove();
  root.write("/etc/vmcore-guest.conf", target);
  const auto before = root.picture();
  ASSERT_TRUE(setup());
  EXPECT_TRUE(root.exists(link));
  EXPECT_THAT(root.read("/etc/systemd/system/vmcore-guest-network.service"),
              AllOf(HasSubstr("\nAfter=vmcore-guest.service network-online.target\n"),
                    HasSubstr("\nExecStart=/usr/sbin/vmcore-guest load --refresh\n")));
  EXPECT_THAT(root.read(kUnit), testing::Not(HasSubstr("network")));  // it loads early
  remove();
  EXPECT_EQ(root.picture(), before);
  std::filesystem::remove(root.at("/usr/lib/systemd/systemd"));
  root.write("/sbin/openrc-run", "");
  ASSERT_TRUE(setup());
  EXPECT_THAT(root.read("/etc/init.d/vmcore-guest-network"), HasSubstr("\n\tneed net\n"));
  EXPECT_TRUE(std::filesystem::is_symlink(root.at("/etc/runlevels/default/vmcore-guest-network")));
}

TEST_F(Setup, FollowsItsLatestOptions) {
  const auto before = root.picture();
  ASSERT_TRUE(setup({.panic_on = {"oops", "nmi"}}));
  EXPECT_THAT(root.read("/etc/sysctl.d/90-vmcore-guest.conf"),
              HasSubstr("kernel.panic_on_oops = 1\nkernel.unknown_nmi_panic = 1\n"));
  EXPECT_EQ(setup({.crashkernel = "200M"}).value(), 2U);
  EXPECT_FALSE(root.exists("/etc/sysctl.d/90-vmcore-guest.conf"));
  EXPECT_THAT(root.read(kDropIn), HasSubstr("crashkernel=200M"));
  remove();
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, PstoreTakesTheStorageThatTheMachineHas) {
  SetupOptions options = {.pstore = true};
  EXPECT_THAT(make_plan(root.root(), {}, options)->by_hand,
              testing::Contains(HasSubstr("a kernel older than Linux 6.12")));
  std::filesystem::remove_all(root.at("/lib/modules/6.1.0-1"));
  root.write("/lib/modules/6.12.1/modules.dep",
             "kernel/ramoops.ko.xz:\nkernel/efi-pstore.ko.xz:\n");
  const auto before = root.picture();
  ASSERT_TRUE(setup(options));
  EXPECT_THAT(root.read(kDropIn), HasSubstr("reserve_mem=1M:4096:vmcore ramoops.mem_name=vmcore"));
  EXPECT_THAT(root.read(std::string(kPstoreModules)), HasSubstr("\nramoops\n"));
  EXPECT_EQ(setup(options).value(), 0U);
  remove();
  EXPECT_EQ(root.picture(), before);
  root.write("/sys/firmware/efi/fw_platform_size", "64");
  ASSERT_TRUE(setup(options));
  EXPECT_THAT(root.read(std::string(kPstoreModules)), HasSubstr("\nefi_pstore\n"));
  EXPECT_THAT(root.read(kDropIn), testing::Not(HasSubstr("ramoops")));
  remove();
  root.write("/sys/firmware/acpi/tables/ERST", "");
  ASSERT_TRUE(setup(options));
  EXPECT_FALSE(root.exists(std::string(kPstoreModules)));
}

// Each program that makes an initramfs gets a hook that runs `early`, and one that runs
// `load --early`.
TEST_F(Setup, EarlyGoesIntoEveryInitramfs) {
  SetupOptions options = {.early = true};
  EXPECT_THAT(make_plan(root.root(), {}, options)->by_hand,
              testing::Contains(HasSubstr("`vmcore-guest early FOLDER`")));
  for (const char* const program : {"mkinitramfs", "dracut", "mkinitcpio"}) {
    root.write(std::string("/usr/bin/") + program, "");
  }
  const auto before = root.picture();
  EXPECT_FALSE(has_early_hooks(root.root()));
  ASSERT_TRUE(setup(options));
  EXPECT_TRUE(has_early_hooks(root.root()));
  const auto after = root.picture();
  const std::string load = "/usr/lib/vmcore-guest/vmcore-guest load --early";
  for (const auto& [path, text] : std::vector<std::pair<std::string, std::string>>{
           {"/etc/initramfs-tools/hooks/vmcore-guest-early",
            "\n\"/usr/sbin/vmcore-guest\" early --kernel \"$version\" \"$DESTDIR\" ||\n"},
           {"/etc/initramfs-tools/scripts/init-top/vmcore-guest-early", load},
           {"/usr/lib/dracut/modules.d/90vmcore-guest/module-setup.sh",
            "\"/usr/sbin/vmcore-guest\" early --kernel \"$kernel\" \"$initdir\" ||\n"},
           {"/usr/lib/dracut/modules.d/90vmcore-guest/load-capture-kernel.sh", load},
           {"/etc/initcpio/install/vmcore-guest",
            "\"/usr/sbin/vmcore-guest\" early --kernel \"$KERNELVERSION\" \"$BUILDROOT\" ||\n"},
           {"/etc/initcpio/hooks/vmcore-guest", load}}) {
    EXPECT_THAT(root.read(path), HasSubstr(text)) << path;
    EXPECT_TRUE(after.at(path).starts_with("493 #!/")) << after.at(path);  // 0755
  }
  EXPECT_THAT(root.read("/etc/dracut.conf.d/vmcore-guest-early.conf"),
              HasSubstr("\nadd_dracutmodules+=\" vmcore-guest \"\n"));
  EXPECT_THAT(root.read("/etc/mkinitcpio.conf.d/vmcore-guest-early.conf"),
              HasSubstr("\nHOOKS+=(vmcore-guest)\n"));
  EXPECT_EQ(setup(options).value(), 0U);
  EXPECT_EQ(root.picture(), after);
  remove();
  EXPECT_EQ(root.picture(), before);
}

// Where another service loads its own, there is nothing to load early.
TEST_F(Setup, EarlyBesideAnotherIsRefused) {
  enable_kdump_tools();
  const auto done = setup({.slot = "beside", .early = true});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("omit one of them"));
}

TEST_F(Setup, TheInitramfsIsMadeAgainByTheProgramThatMadeIt) {
  const root::Root opened = root.root();
  const root::Tree tree(opened);
  EXPECT_THAT(initramfs_command(tree, "6.1"), IsEmpty());
  root.write("/usr/bin/dracut", "");
  EXPECT_THAT(initramfs_command(tree, "6.1"), ElementsAre("dracut", "--force", "--kver", "6.1"));
  root.write("/usr/sbin/mkinitramfs", "");
  EXPECT_THAT(initramfs_command(tree, "6.1"), ElementsAre("update-initramfs", "-u", "-k", "6.1"));
}

TEST_F(Setup, LaterEditsOfOthersSurvive) {
  root.write("/usr/sbin/grub-mkconfig", "no drop-ins");
  ASSERT_TRUE(setup());
  root.write("/etc/default/grub", "# mine\n" + root.read("/etc/default/grub") + "GRUB_X=2\n");
  root.write("/etc/vmcore-guest.conf", root.read("/etc/vmcore-guest.conf") + "keep = 7\n");
  std::filesystem::remove(root.at("/etc/modules-load.d/vmcore-guest.conf"));
  remove();
  EXPECT_EQ(root.read("/etc/default/grub"), "# mine\nGRUB_TIMEOUT=1\nGRUB_X=2\n");
  EXPECT_EQ(root.read("/etc/vmcore-guest.conf"), "keep = 7\n");
  EXPECT_FALSE(root.exists("/var/lib/vmcore-guest"));
}

TEST_F(Setup, AgainItKeepsWhatOthersMadeOfItsFiles) {
  const SetupOptions options = {.panic_on = {"oops"}};
  const auto before = root.picture();
  ASSERT_TRUE(setup(options));
  const std::string config = root.read("/etc/vmcore-guest.conf");
  for (const char* const path :
       {"/etc/vmcore-guest.conf", kDropIn, "/etc/sysctl.d/90-vmcore-guest.conf"}) {
    root.write(path, root.read(path) + "# mine\n");
  }
  const std::string unit = root.read(kUnit);
  root.write(kUnit, std::string(unit).insert(unit.find("\n[Install]"), "\nNice=5\n"));
  const auto edited = root.picture();
  for (int times = 0; times < 2; ++times) {
    EXPECT_EQ(setup(options).value(), 0U) << times;
  }
  for (const auto& [path, text] : edited) {
    if (path.starts_with("/etc/")) {
      EXPECT_EQ(root.picture()[path], text) << path;
    }
  }
  ASSERT_TRUE(setup({.crashkernel = "200M", .panic_on = {"nmi"}}));  // ours change, theirs stay
  EXPECT_EQ(root.read("/etc/vmcore-guest.conf"), config + "# mine\n");
  EXPECT_THAT(root.read(kDropIn), testing::EndsWith("crashkernel=200M\"\n# mine\n"));
  EXPECT_THAT(root.read("/etc/sysctl.d/90-vmcore-guest.conf"),
              testing::EndsWith("kernel.panic_on_unrecovered_nmi = 1\n# mine\n"));
  remove();
  EXPECT_EQ(root.read(kDropIn), "# mine\n");
  EXPECT_EQ(root.read("/etc/vmcore-guest.conf"), "# mine\n");
  EXPECT_EQ(root.read(kUnit), "Nice=5\n");
  EXPECT_EQ(root.picture()["/etc/default/grub"], before.at("/etc/default/grub"));
}

TEST_F(Setup, AgainItKeepsAConfigurationThatWasChanged) {
  ASSERT_TRUE(setup());
  root.write("/etc/vmcore-guest.conf", "target = vsock\nkeep = 7\n");
  EXPECT_EQ(setup().value(), 0U);
  EXPECT_EQ(root.read("/etc/vmcore-guest.conf"), "target = vsock\nkeep = 7\n");
}

TEST_F(Setup, KeepsModesAndFollowsLinksInsideTheRoot) {
  root.write("/usr/sbin/grub-mkconfig", "no drop-ins");
  std::filesystem::remove(root.at("/etc/default/grub"));
  root.write("/etc/sysconfig/grub", "A=1\n");
  std::filesystem::permissions(root.at("/etc/sysconfig/grub"), std::filesystem::perms(0600));
  root.link("/etc/default/grub", "/etc/sysconfig/grub");
  const auto before = root.picture();
  ASSERT_TRUE(setup());
  EXPECT_THAT(root.read("/etc/sysconfig/grub"), HasSubstr("crashkernel=128M"));
  EXPECT_EQ(root.picture()["/etc/default/grub"], "-> /etc/sysconfig/grub");
  EXPECT_EQ(std::filesystem::status(root.at("/etc/sysconfig/grub")).permissions(),
            std::filesystem::perms(0600));
  remove();
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, NoLinkLeadsOutOfTheRoot) {
  FolderRoot outside;
  outside.write("/grub", "A=1\n");
  root.write("/usr/sbin/grub-mkconfig", "no drop-ins");
  std::filesystem::remove(root.at("/etc/default/grub"));
  root.link("/etc/default/grub", "../../../../../../../.." + outside.at("/grub").string());
  ASSERT_TRUE(setup());
  EXPECT_EQ(outside.read("/grub"), "A=1\n");
}

TEST_F(Setup, RefusesWhereAnotherHasTheSlot) {
  enable_kdump_tools();
  const auto before = root.picture();
  const auto refused = setup();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::busy);
  EXPECT_THAT(refused.error().message, HasSubstr("kdump-tools.service is enabled"));
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, RefusesWhereOpenRcEnablesAnother) {
  root.write("/etc/init.d/kdump", "");
  root.link("/etc/runlevels/default/kdump", "/etc/init.d/kdump");
  EXPECT_THAT(setup().error().message, HasSubstr("kdump is enabled"));
}

TEST_F(Setup, ReplacesTheOtherUntilRemoved) {
  enable_kdump_tools();
  const auto before = root.picture();
  ASSERT_TRUE(setup({.slot = "replace"}));
  EXPECT_EQ(root.picture().count(kOtherLink), 0U);
  EXPECT_EQ(setup().value(), 0U);  // as it was settled
  remove();
  EXPECT_EQ(root.picture(), before);
}

// The package's own crashkernel= is gone after `apt purge kdump-tools`.
TEST_F(Setup, ReplacingTheOtherReservesByAWordOfOurs) {
  enable_kdump_tools();
  root.write("/etc/default/grub.d/kdump-tools.cfg",
             "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=384M-:128M\"\n");
  const auto before = root.picture();
  ASSERT_TRUE(setup({.slot = "replace"}));
  EXPECT_THAT(root.read(kDropIn), HasSubstr(" crashkernel=128M\""));
  EXPECT_EQ(setup().value(), 0U);
  remove();
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, BesideTheOtherItIsACollector) {
  enable_kdump_tools();
  const auto before = root.picture();
  ASSERT_TRUE(setup({.slot = "beside"}));
  EXPECT_FALSE(root.exists(kUnit));
  EXPECT_FALSE(root.exists(kDropIn));
  EXPECT_THAT(root.read("/etc/systemd/system/kdump-tools-dump.service.d/vmcore-guest.conf"),
              HasSubstr("ExecStartPre=-/usr/sbin/vmcore-guest save\n"));
  remove();
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, BesideKdumpctlItGoesIntoItsImage) {
  root.write("/usr/bin/kdumpctl", "");
  root.write("/usr/lib/systemd/system/kdump.service", "");
  root.link("/etc/systemd/system/multi-user.target.wants/kdump.service",
            "/usr/lib/systemd/system/kdump.service");
  root.write("/etc/kdump.conf", "path /var/crash\nextra_bins /bin/a\n#extra_modules b\n");
  const auto before = root.picture();
  ASSERT_TRUE(setup({.slot = "beside"}));
  EXPECT_EQ(root.read("/etc/kdump.conf"),
            "path /var/crash\nextra_bins /bin/a /usr/sbin/vmcore-guest\n#extra_modules b\n"
            "extra_modules virtio_console\n");
  remove();
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, AnotherThatIsMaskedOrGoneHasNoSlot) {
  root.link(kOtherLink, "/lib/systemd/system/kdump-tools.service");
  EXPECT_TRUE(setup());
  root.write("/usr/lib/systemd/system/kdump-tools.service", "");
  root.link("/etc/systemd/system/kdump-tools.service", "/dev/null");
  EXPECT_TRUE(setup());
}

TEST_F(Setup, RefusesToShutASealedDisk) {
  for (const std::string options : {"luks,tpm2-device=auto", "luks"}) {
    root.write("/etc/crypttab", "# vol\nroot UUID=0A-1B none " + options + "\n");
    root.write("/dev/disk/by-uuid/0a-1b",
               std::string("LUKS\xba\xbe\0\2", 8) + R"({"tokens": {"0": {"type": "clevis"}}})");
    const auto refused = setup();
    ASSERT_FALSE(refused) << options;
    EXPECT_EQ(refused.error().code, Errc::denied);
    EXPECT_THAT(refused.error().message, HasSubstr("root is unlocked by the TPM"));
  }
  EXPECT_FALSE(root.exists(kDropIn));
  EXPECT_TRUE(setup({.force = true}));
  EXPECT_EQ(setup().value(), 0U);  // the line does not change any more
}

TEST_F(Setup, AVolumeWithAPassPhraseCostsNothing) {
  root.write("/etc/crypttab", "root UUID=0a none luks\n");
  root.write("/dev/disk/by-uuid/0a", std::string("LUKS\xba\xbe\0\2", 8) + R"({"tokens":{}})");
  EXPECT_TRUE(setup());
}

TEST_F(Setup, RefusesSignedImagesUnderSecureBoot) {
  const std::string variable =
      "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
  root.write("/boot/efi/EFI/Linux/a.efi", "");
  root.write("/etc/kernel/cmdline", "root=x\n");
  root.write(variable, std::string("\6\0\0\0\1", 5));
  const auto refused = setup();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("Secure Boot is on"));
  root.write(variable, std::string("\6\0\0\0\0", 5));
  EXPECT_TRUE(setup());
}

TEST_F(Setup, NotifiesOnlyWithKernelsThatCan) {
  EXPECT_TRUE(setup({.notify_host = true}));
  EXPECT_THAT(root.read(kDropIn), HasSubstr(" crashkernel=128M crash_kexec_post_notifiers\""));
  root.write("/lib/modules/5.4.0-1/modules.dep", "");
  const auto refused = setup({.notify_host = true});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("5.4.0-1 is installed"));
}

TEST_F(Setup, LoadsOnlyModulesThatEveryKernelHas) {
  root.write("/lib/modules/6.2.0-1/modules.dep", "kernel/a/qemu_fw_cfg.ko:\n");
  ASSERT_TRUE(setup());
  EXPECT_THAT(root.read("/etc/modules-load.d/vmcore-guest.conf"),
              testing::EndsWith("away.\nqemu_fw_cfg\n"));
}

TEST_F(Setup, AskedForAnImageWithoutTheProgramItSaysSo) {
  std::filesystem::remove(root.at("/usr/sbin/vmcore-guest"));
  EXPECT_EQ(setup().error().code, Errc::not_found);
}

TEST_F(Setup, AManifestThatIsBrokenIsNotGuessedAt) {
  ASSERT_TRUE(setup());
  for (const char* const text :
       {"", "{", "[]", R"({"version":2})", R"({"version":1,"changes":7})"}) {
    root.write(kManifest, text);
    EXPECT_FALSE(setup()) << text;
  }
}

TEST_F(Setup, WhatWasCutShortIsTakenBack) {
  const auto before = root.picture();
  ASSERT_TRUE(setup());
  for (const char* const path : {kUnit, kDropIn}) {  // as if they had not been written yet
    std::filesystem::remove(root.at(path));
  }
  remove();
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, ACommandThatFailedIsRunAgain) {
  const root::Root opened = root.root();
  const Command command = {"/usr/sbin/not-there"};
  Record record;
  record.changes = {{.path = "/etc/x", .before = {}, .after = root::file_node("x\n"), .why = {}}};
  const auto done = apply(opened, record.changes, record, {}, {.stops = {}, .others = {command}});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(done->failed, ElementsAre(HasSubstr("/usr/sbin/not-there")));
  EXPECT_EQ(root.read("/etc/x"), "x\n");
  const Record earlier = read_record(opened).value();
  EXPECT_THAT(earlier.pending, ElementsAre(command));
  ASSERT_TRUE(apply(opened, {}, record, earlier, {}));
  EXPECT_THAT(read_record(opened).value().pending, IsEmpty());
}

TEST_F(Setup, CommandsFollowTheFilesThatChanged) {
  root.write("/usr/sbin/update-initramfs", "");
  root.write("/boot/grub/grub.cfg", "");
  root.write("/proc/self", "");
  const root::Root opened = root.root();
  Plan plan(opened);
  const auto changed = [](const std::string& path) {
    return std::vector<root::Change>{{path, {}, root::file_node(""), ""}};
  };
  EXPECT_THAT(commands_for(plan, changed(kDropIn), {})->others,
              ElementsAre(Command{"/usr/sbin/grub-mkconfig", "-o", "/boot/grub/grub.cfg"}));
  EXPECT_THAT(commands_for(plan, changed("/etc/initramfs-tools/hooks/x"), {})->others,
              ElementsAre(Command{"/usr/sbin/update-initramfs", "-u", "-k", "all"}));
  EXPECT_THAT(commands_for(plan, changed(kUnit), {})->others, IsEmpty());
  EXPECT_THAT(plan.by_hand, IsEmpty());
  std::filesystem::remove(root.at("/proc/self"));
  EXPECT_THAT(commands_for(plan, changed(kDropIn), {})->others, IsEmpty());
  EXPECT_THAT(plan.by_hand, ElementsAre(HasSubstr("run `/usr/sbin/grub-mkconfig -o")));
}

TEST_F(Setup, APendingCommandIsNotRunTwice) {
  root.write("/usr/sbin/update-initramfs", "");
  root.write("/proc/self", "");
  const root::Root opened = root.root();
  Plan plan(opened);
  const Command update = {"/usr/sbin/update-initramfs", "-u", "-k", "all"};
  const std::vector<root::Change> changes = {
      {"/etc/initramfs-tools/hooks/x", {}, root::file_node(""), ""}};
  EXPECT_THAT(commands_for(plan, changes, {{"/x"}, update})->others,
              ElementsAre(update, Command{"/x"}));
}

TEST_F(Setup, ServicesOfLinksThatGoAreStopped) {
  root.write("/usr/sbin/rc-service", "");
  root.write("/run/openrc/x", "");
  const root::Root opened = root.root();
  const std::vector<root::Change> changes = {
      {"/etc/init.d/vmcore-guest", root::file_node(""), {}, ""},
      {"/etc/runlevels/boot/vmcore-guest", root::link_node("/etc/init.d/vmcore-guest"), {}, ""}};
  const std::vector<Command> stops = stops_for(root::Tree(opened), changes);
  EXPECT_THAT(stops, ElementsAre(Command{"/usr/sbin/rc-service", "vmcore-guest", "stop"}));
  EXPECT_THAT(starts_for(stops),
              ElementsAre(Command{"/usr/sbin/rc-service", "vmcore-guest", "start"}));
}

// A stop comes before the script that it needs goes; one that failed is told once.
TEST_F(Setup, AStopThatFailedIsNotPending) {
  const root::Root opened = root.root();
  ASSERT_TRUE(setup());
  const Record earlier = read_record(opened).value();
  root::Tree tree(opened);
  ASSERT_TRUE(set_base(tree, earlier));
  const auto done = apply(opened, tree.to_write().value(), {}, earlier,
                          {.stops = {{"/usr/sbin/not-there"}}, .others = {}});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(done->failed, ElementsAre(HasSubstr("/usr/sbin/not-there")));
  EXPECT_FALSE(root.exists(kManifest));
}

TEST_F(Setup, ASecondOneThatIsCutShortIsTakenBack) {
  root.write("/usr/sbin/grub-mkconfig", "no drop-ins");
  ASSERT_TRUE(setup({.crashkernel = "128M", .panic_on = {"oops"}}));
  const root::Root opened = root.root();
  const Record earlier = read_record(opened).value();
  const std::vector<root::Change> failing = {{"/etc/default/grub/x", {}, root::file_node(""), ""}};
  Record record;
  record.changes = {
      {"/etc/default/grub", root::file_node("GRUB_TIMEOUT=1\n"), root::file_node("new\n"), ""}};
  record.words = {"crashkernel=200M"};
  EXPECT_FALSE(apply(opened, failing, record, earlier, {}));
  remove();
  EXPECT_THAT(root.read("/etc/default/grub"), testing::Not(HasSubstr("crashkernel")));
  EXPECT_FALSE(root.exists("/etc/sysctl.d/90-vmcore-guest.conf"));
  EXPECT_FALSE(root.exists(kUnit));
}

// The folder of udev's rules leads nowhere: that shows only when the rule is written.
TEST_F(Setup, OneThatFailsHalfWayLeavesEveryFileAsItWas) {
  root.link("/etc/udev/rules.d", "/etc/nowhere/rules.d");
  const auto before = root.picture();
  const auto failed = setup();
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("; every file was restored"));
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, ASecondOneThatFailsLeavesTheFirst) {
  ASSERT_TRUE(setup({.crashkernel = "128M", .panic_on = {"oops"}}));
  std::filesystem::remove_all(root.at("/etc/udev/rules.d"));
  root.link("/etc/udev/rules.d", "/etc/nowhere/rules.d");
  const auto before = root.picture();
  EXPECT_FALSE(setup({.crashkernel = "200M", .panic_on = {"nmi"}, .notify_host = true}));
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, ARemovalThatFailsHalfWayLeavesEveryFileAsItWas) {
  ASSERT_TRUE(setup());
  const root::Root opened = root.root();
  const Record earlier = read_record(opened).value();
  root::Tree tree(opened);
  ASSERT_TRUE(set_base(tree, earlier));
  auto changes = tree.to_write().value();
  changes.push_back({"/etc/default/grub/x", {}, root::file_node(""), ""});  // in a file
  const auto before = root.picture();
  EXPECT_FALSE(apply(opened, changes, {}, earlier, {}));
  EXPECT_EQ(root.picture(), before);
}

TEST_F(Setup, OffersAFolderWhereOnlyTheHostTakesACrash) {
  const auto notes = [this] {
    SetupOptions options;
    const auto plan = make_plan(root.root(), {}, options);
    EXPECT_TRUE(plan) << plan.error().message;
    return plan ? plan->notes : std::vector<std::string>();
  };
  const auto offered = testing::Contains(HasSubstr("\"target = file:UUID=12:/crash\""));
  root.write("/etc/fstab", "UUID=11 / ext4 defaults 0 1\nUUID=12 /var ext4 defaults 0 2\n");
  EXPECT_THAT(notes(), offered);
  root.write("/etc/vmcore-guest.conf", "target = port\ntarget = file:UUID=11:/x\n");
  EXPECT_THAT(notes(), testing::Not(offered));
  root.write("/etc/vmcore-guest.conf", "target = port\n");
  root.write("/etc/fstab", "/dev/mapper/vg-root / ext4 defaults 0 1\n");
  EXPECT_THAT(notes(), testing::Not(testing::Contains(HasSubstr("file:"))));
}

TEST_F(Setup, LocksTheSlotAfterTheLoad) {
  ASSERT_TRUE(setup({.lock = true}));
  EXPECT_THAT(root.read(kUnit),
              HasSubstr("ExecStart=/usr/sbin/vmcore-guest load\n"
                        "ExecStart=/usr/sbin/vmcore-guest lock --disable --force\n"));
  EXPECT_FALSE(root.exists(std::string(kReloadRule)));
  std::filesystem::rename(root.at("/lib/modules/6.1.0-1"), root.at("/lib/modules/6.12.0-1"));
  ASSERT_TRUE(setup({.lock = true}));
  EXPECT_THAT(root.read(kUnit), HasSubstr("vmcore-guest lock --force\n"));
  ASSERT_TRUE(setup());
  EXPECT_THAT(root.read(kUnit), testing::Not(HasSubstr(" lock")));
}

TEST_F(Setup, RefusesSystemsThatAreDeclared) {
  const auto refusal = [this] {
    const auto before = root.picture();
    const auto done = setup();
    EXPECT_EQ(root.picture(), before);
    return done ? "none" : done.error().message;
  };
  root.write("/etc/os-release", "NAME=Guix\nID=guix\n");
  EXPECT_THAT(refusal(), HasSubstr("add \"crashkernel=128M\" to kernel-arguments"));
  root.write("/etc/os-release", "ID=\"debian\"\n");
  root.write("/ostree/repo/config", "");
  EXPECT_THAT(refusal(), HasSubstr("rpm-ostree kargs --append-if-missing=crashkernel=128M"));
  root.write("/etc/NIXOS", "");
  EXPECT_THAT(refusal(), HasSubstr("boot.kernelParams = [ \"crashkernel=128M\" ]"));
}

// systemctl reenable and rc-update write links of their own.
TEST_F(Setup, ARemovalLeavesNoDanglingLink) {
  const std::string link = "/etc/systemd/system/basic.target.wants/vmcore-guest.service";
  const std::string more = "/etc/systemd/system/multi-user.target.wants/vmcore-guest.service";
  ASSERT_TRUE(setup());
  std::filesystem::remove(root.at(link));
  root.link(link, kUnit);
  root.link(more, kUnit);
  const root::Root opened = root.root();
  const Record earlier = read_record(opened).value();
  root::Tree tree(opened);
  ASSERT_TRUE(set_base(tree, earlier));
  ASSERT_TRUE(remove_links(tree, earlier.changes));
  ASSERT_TRUE(apply(opened, tree.to_write().value(), {}, earlier, {}));
  EXPECT_FALSE(std::filesystem::is_symlink(root.at(link)));
  EXPECT_FALSE(std::filesystem::is_symlink(root.at(more)));
}

TEST_F(Setup, AReservationThatWasChosenStaysChosen) {
  root.write("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"crashkernel=auto\"\n");
  ASSERT_TRUE(setup());
  EXPECT_FALSE(root.exists(kDropIn));
  ASSERT_TRUE(setup({.crashkernel = "144M"}));
  EXPECT_THAT(root.read(kDropIn), HasSubstr(" crashkernel=144M\""));
  EXPECT_EQ(setup().value(), 0U);
}

TEST_F(Setup, AStoreOfPackagesIsNotWrittenTo) {
  root.write("/nix/store/a-etc/systemd/x", "");
  root.link("/etc/systemd", "/nix/store/a-etc/systemd");
  const root::Root opened = root.root();
  const std::vector<root::Change> changes = {
      {"/etc/modules-load.d/a.conf", {}, root::file_node(""), ""},
      {"/etc/systemd/system/b", {}, root::file_node(""), ""}};
  const auto refused = check_writable(opened, changes);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::denied);
  EXPECT_THAT(refused.error().message, HasSubstr("/etc/systemd/system/b is in a package store"));
  EXPECT_THAT(refused.error().message, HasSubstr("boot.kernelParams"));
  EXPECT_TRUE(check_writable(opened, {changes.front()}));
}

TEST(Kernels, CompareTheirReleases) {
  EXPECT_TRUE(is_at_least("5.6.0-rc1", 5, 6));
  EXPECT_TRUE(is_at_least("6", 5, 6));
  EXPECT_TRUE(is_at_least("5.10.0", 5, 6));
  EXPECT_FALSE(is_at_least("5.4.0-100-generic", 5, 6));
  EXPECT_FALSE(is_at_least("extra", 5, 6));
}

// A bzImage as far as its header goes.
std::string bzimage(const std::string& release, unsigned init_mebibytes) {
  std::string image(0x400, '\0');
  const auto number = [&image](std::size_t at, std::size_t size, std::uint64_t value) {
    for (std::size_t i = 0; i < size; ++i) {
      image[at + i] = static_cast<char>(value >> (8 * i));
    }
  };
  image.replace(0x202, 4, "HdrS");
  number(0x206, 2, 0x20f);
  number(0x20e, 2, 0x100);
  number(0x236, 2, 1);
  number(0x238, 4, 2047);
  number(0x260, 4, std::uint64_t{init_mebibytes} << 20);
  return image.replace(0x300, release.size(), release);
}

TEST(Kernels, ReserveForTheLargest) {
  FolderRoot root;
  const root::Root opened = root.root();
  root.write("/lib/modules/6.1-cloud/modules.dep", "");
  root.write("/lib/modules/6.9/modules.dep", "");
  EXPECT_EQ(kexec::crashkernel_word(largest_need(root::Tree(opened))),
            "crashkernel=128M");  // none is found
  root.write("/boot/vmlinuz-6.1-cloud", bzimage("6.1-cloud", 52));
  EXPECT_EQ(kexec::crashkernel_word(largest_need(root::Tree(opened))), "crashkernel=112M");
  root.write("/boot/vmlinuz-6.9", bzimage("6.9", 102));
  EXPECT_EQ(kexec::crashkernel_word(largest_need(root::Tree(opened))),
            "crashkernel=176M");  // with 4 MiB for its image
}

TEST(Kernels, TakeAReservationThatAShellMayRead) {
  for (const char* const good :
       {"128M", "384M-:128M", "1G-4G:192M,4G-:256M", "256M,high", "64M@16M"}) {
    EXPECT_TRUE(is_reservation(good)) << good;
  }
  for (const char* const bad : {"", "M", "128M\"; rm", "$(x)", "128M quiet", "12`8"}) {
    EXPECT_FALSE(is_reservation(bad)) << bad;
  }
}

}  // namespace
}  // namespace vmcore::guest::setup
