// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/boot_loader.h"

#include <gmock/gmock.h>

#include <cstdio>

#include "src/base/shell.h"
#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::setup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const CommandLine kLine = {.words = {"crashkernel=128M"}};

// What the plan makes of a file; its root stays as it is.
class BootLoaders : public ::testing::Test {
 protected:
  std::string planned(const std::string& path, const CommandLine& line = kLine) {
    const root::Root opened = root.root();
    Plan plan(opened);
    const Result<> added = add_to_command_line(plan, line);
    EXPECT_TRUE(added) << added.error().message;
    by_hand = plan.by_hand;
    notes = plan.notes;
    words = plan.words;
    return plan.tree.text(path).value();
  }

  FolderRoot root;
  std::vector<std::string> by_hand, notes;
  root::Words words;
};

TEST_F(BootLoaders, GrubTakesADropInWhereItSourcesThem) {
  root.write("/usr/sbin/grub-mkconfig", "for x in ${sysconfdir}/default/grub.d/*.cfg ; do\n");
  root.write("/etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n");
  EXPECT_THAT(planned("/etc/default/grub.d/vmcore-guest.cfg"),
              HasSubstr("\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT "
                        "crashkernel=128M\"\n"));
  EXPECT_EQ(planned("/etc/default/grub"), "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n");
  EXPECT_THAT(words, ElementsAre("crashkernel=128M"));
}

TEST_F(BootLoaders, GrubTakesALineWhateverQuotingStandsAbove) {
  root.write("/usr/bin/grub2-mkconfig", "#!/bin/sh\n");
  const std::string odd = "GRUB_CMDLINE_LINUX='a \"b\"'$(echo c) # \"\nGRUB_CMDLINE_LINUX_DEFAULT=";
  root.write("/etc/default/grub", odd);
  EXPECT_EQ(
      planned("/etc/default/grub"),
      odd + "\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=128M\"\n");
}

TEST_F(BootLoaders, WhatIsReservedAlreadyIsKeptUnlessASizeIsNamed) {
  root.write("/usr/sbin/grub-mkconfig", "default/grub.d");
  root.write("/etc/default/grub.d/kdump-tools.cfg",
             "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=384M-:128M\"\n");
  EXPECT_EQ(planned("/etc/default/grub.d/vmcore-guest.cfg"), "");
  EXPECT_THAT(notes, ElementsAre(HasSubstr("crashkernel=384M-:128M, which is kept")));
  EXPECT_THAT(words, IsEmpty());
  EXPECT_THAT(planned("/etc/default/grub.d/vmcore-guest.cfg",
                      {.words = {"crashkernel=200M"}, .keep_reservation = false}),
              HasSubstr("crashkernel=200M"));
}

TEST_F(BootLoaders, AReservationThatGoesWithItsPackageIsNone) {
  root.write("/usr/sbin/grub-mkconfig", "default/grub.d");
  root.write("/etc/default/grub.d/kdump-tools.cfg",
             "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=384M-:128M\"\n");
  const CommandLine line = {.words = {"crashkernel=128M"},
                            .not_lasting = {"/etc/default/grub.d/kdump-tools.cfg"}};
  EXPECT_THAT(planned("/etc/default/grub.d/vmcore-guest.cfg", line),
              HasSubstr(" crashkernel=128M\""));
  EXPECT_THAT(notes, IsEmpty());
  root.write("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"crashkernel=256M\"\n");
  EXPECT_EQ(planned("/etc/default/grub.d/vmcore-guest.cfg", line), "");
  EXPECT_THAT(notes, ElementsAre(HasSubstr("crashkernel=256M, which is kept")));
}

TEST_F(BootLoaders, AReservationInACommentIsNone) {
  root.write("/usr/sbin/grub-mkconfig", "default/grub.d");
  root.write("/etc/default/grub", "# GRUB_CMDLINE_LINUX=\"crashkernel=256M\"\n");
  EXPECT_THAT(planned("/etc/default/grub.d/vmcore-guest.cfg"), HasSubstr("crashkernel=128M"));
}

TEST_F(BootLoaders, EntriesTakeItInTheirLastOptions) {
  const std::string entry = "/boot/loader/entries/0123-6.8.conf";
  root.write(entry, "title Fedora\r\nlinux /vmlinuz\r\noptions root=UUID=1\r\noptions ro $x\r\n");
  root.write("/efi/loader/entries/none.conf", "title a\nlinux /b");
  root.write("/efi/loader/entries/memtest.conf", "title Memtest\nefi /memtest.efi\n");
  root.write("/etc/kernel/cmdline", "root=UUID=1 ro");
  EXPECT_EQ(planned(entry),
            "title Fedora\r\nlinux /vmlinuz\r\noptions root=UUID=1\r\noptions ro $x "
            "crashkernel=128M\r\n");
  EXPECT_EQ(planned("/efi/loader/entries/none.conf"),
            "title a\nlinux /b\noptions crashkernel=128M\n");
  EXPECT_EQ(planned("/efi/loader/entries/memtest.conf"), "title Memtest\nefi /memtest.efi\n");
  EXPECT_EQ(planned("/etc/kernel/cmdline"), "root=UUID=1 ro crashkernel=128M");
  EXPECT_THAT(by_hand, IsEmpty());
}

TEST_F(BootLoaders, EntriesOfRhel8LeaveNewKernelsToYou) {
  root.write("/boot/loader/entries/a.conf", "linux /b\noptions $kernelopts\n");
  EXPECT_EQ(planned("/boot/loader/entries/a.conf"),
            "linux /b\noptions $kernelopts crashkernel=128M\n");
  EXPECT_THAT(by_hand, ElementsAre(HasSubstr("grub2-editenv")));
}

TEST_F(BootLoaders, UnifiedImagesNeedAnAddon) {
  root.write("/efi/EFI/Linux/arch.efi", "");
  root.write("/etc/kernel/uki.conf", "[UKI]\nCmdline=root=x rw\n");
  EXPECT_EQ(planned("/etc/kernel/uki.conf"), "[UKI]\nCmdline=root=x rw crashkernel=128M\n");
  EXPECT_THAT(by_hand, ElementsAre(HasSubstr("ukify build --cmdline=crashkernel=128M "
                                             "--output=/efi/loader/addons/")));
  root.write("/etc/kernel/uki.conf", "[UKI]\nCmdline=@/etc/kernel/cmdline\n");
  root.write("/etc/kernel/cmdline", "# mine\nroot=x\n");
  EXPECT_EQ(planned("/etc/kernel/uki.conf"), "[UKI]\nCmdline=@/etc/kernel/cmdline\n");
  EXPECT_EQ(planned("/etc/kernel/cmdline"), "# mine\nroot=x crashkernel=128M\n");
}

// What a shell makes of the command in the hint: mkdir, ukify and grub2-editenv print their words.
std::string pasted(const std::string& hint) {
  const std::size_t begin = hint.find('`') + 1;
  const std::string script =
      "words() { printf '<%s>' \"$@\"; }; mkdir() { :; }; ukify() { words \"$@\"; }; "
      "grub2-editenv() { if [ \"$2\" = list ]; then echo kernelopts=ro; else words \"$@\"; fi; "
      "}; " +
      hint.substr(begin, hint.find('`', begin) - begin);
  FILE* const shell = ::popen(shell_command({"bash", "-c", script}).c_str(), "r");
  std::string said(4096, '\0');
  said.resize(std::fread(said.data(), 1, said.size(), shell));
  ::pclose(shell);
  return said;
}

TEST_F(BootLoaders, HintsMayBePasted) {
  const CommandLine line{.words = {"crashkernel=128M", "a=\"$(echo b)'"}};
  root.write("/efi/EFI/Linux/arch.efi", "");
  planned("/etc/kernel/cmdline", line);
  ASSERT_EQ(by_hand.size(), 1U);
  EXPECT_EQ(pasted(by_hand[0]),
            "<build><--cmdline=crashkernel=128M a=\"$(echo b)'>"
            "<--output=/efi/loader/addons/vmcore-guest.addon.efi>");
  root.write("/boot/loader/entries/a.conf", "linux /b\noptions $kernelopts\n");
  planned("/etc/kernel/cmdline", line);
  ASSERT_EQ(by_hand.size(), 2U);
  EXPECT_EQ(pasted(by_hand[0]), "<-><set><kernelopts=ro crashkernel=128M a=\"$(echo b)'>");
}

TEST_F(BootLoaders, UnifiedImagesOfMkinitcpioAreBuiltAnew) {
  root.write("/efi/EFI/Linux/arch.efi", "");
  root.write("/etc/mkinitcpio.d/linux.preset", "PRESETS=('default')\ndefault_uki=\"/efi/x\"\n");
  root.write("/etc/kernel/cmdline", "root=x\n");
  EXPECT_EQ(planned("/etc/kernel/cmdline"), "root=x crashkernel=128M\n");
  EXPECT_THAT(by_hand, IsEmpty());
}

TEST_F(BootLoaders, AlpineSourcesItsOptions) {
  root.write("/etc/update-extlinux.conf", "default_kernel_opts=\"quiet\"\n");
  root.write("/boot/extlinux.conf", "LABEL a\n  APPEND quiet\n");
  EXPECT_EQ(planned("/etc/update-extlinux.conf"),
            "default_kernel_opts=\"quiet\"\n"
            "default_kernel_opts=\"$default_kernel_opts crashkernel=128M\"\n");
  EXPECT_EQ(planned("/boot/extlinux.conf"), "LABEL a\n  APPEND quiet\n");
}

TEST_F(BootLoaders, ExtlinuxTakesItInEachAppend) {
  root.write("/boot/extlinux/extlinux.conf",
             "LABEL a\n\tAppend root=/dev/x ro-\nLABEL b\n  append -\n  appendix c\n");
  EXPECT_EQ(planned("/boot/extlinux/extlinux.conf"),
            "LABEL a\n\tAppend root=/dev/x ro- crashkernel=128M\nLABEL b\n  append -\n  appendix "
            "c\n");
}

TEST_F(BootLoaders, WithoutAnyItIsLeftToYou) {
  planned("/etc/nothing");
  EXPECT_THAT(by_hand, ElementsAre(HasSubstr("\"crashkernel=128M\"")));
}

TEST_F(BootLoaders, WhatHasTheWordsStaysAsItIs) {
  root.write("/boot/loader/entries/a.conf", "linux /b\noptions crashkernel=128M ro\n");
  EXPECT_EQ(planned("/boot/loader/entries/a.conf"), "linux /b\noptions crashkernel=128M ro\n");
  EXPECT_THAT(words, IsEmpty());
  EXPECT_THAT(notes, IsEmpty());
}

// The judgement is that of the line that boots, not of a text somewhere in a file.
TEST_F(BootLoaders, GrubsDefaultsAreEvaluated) {
  root.write("/usr/sbin/grub-mkconfig", "default/grub.d");
  root.write("/etc/default/grub",
             "GRUB_CMDLINE_LINUX=\"crashkernel=128M\"  # crashkernel=256M\n"
             "GRUB_CMDLINE_LINUX=\"\"\nGRUB_CMDLINE_XEN=\"crashkernel=128M\"\n");
  EXPECT_THAT(planned("/etc/default/grub.d/vmcore-guest.cfg"), HasSubstr("crashkernel=128M"));
  root.write("/etc/default/grub", "R=crashkernel=160M\nGRUB_CMDLINE_LINUX=\"ro $R\"\n");
  EXPECT_EQ(planned("/etc/default/grub.d/vmcore-guest.cfg"), "");
  EXPECT_THAT(notes, ElementsAre(HasSubstr("crashkernel=160M, which is kept")));
}

TEST_F(BootLoaders, AMenuThatLacksWhatTheDefaultsHaveIsMadeAgain) {
  root.write("/usr/sbin/grub-mkconfig", "default/grub.d");
  root.write("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"crashkernel=128M\"\n");
  const std::string menu = "menuentry 'Debian' {\n\tlinux\t/vmlinuz ro quiet";
  root.write("/boot/grub/grub.cfg", menu + "\n}\n");
  const root::Root opened = root.root();
  Plan plan(opened);
  ASSERT_TRUE(add_to_command_line(plan, kLine));
  EXPECT_THAT(plan.overdue,
              ElementsAre(ElementsAre("/usr/sbin/grub-mkconfig", "-o", "/boot/grub/grub.cfg")));
  root.write("/boot/grub/grub.cfg", menu + " crashkernel=128M\n\tlinux /vmlinuz ro single\n}\n");
  Plan again(opened);
  ASSERT_TRUE(add_to_command_line(again, kLine));
  EXPECT_THAT(again.overdue, IsEmpty());
  // The same where the word is ours: a menu that was not made again is not forgotten.
  root.write("/etc/default/grub", "");
  root.write("/boot/grub/grub.cfg", menu + "\n}\n");
  Plan ours(opened);
  ASSERT_TRUE(add_to_command_line(ours, kLine));
  EXPECT_EQ(ours.overdue.size(), 1U);
}

TEST_F(BootLoaders, TheMenuOfAnEfiPartitionIsFound) {
  root.write("/usr/sbin/grub2-mkconfig", "#!/bin/sh\n");
  planned("/etc/default/grub");
  EXPECT_THAT(by_hand, ElementsAre(HasSubstr("`/usr/sbin/grub2-mkconfig -o FILE`")));
  root.write("/boot/efi/EFI/centos/grub.cfg", "linuxefi /vmlinuz ro quiet\n");
  root.write("/boot/efi/EFI/debian/grub.cfg", "set prefix=x\nconfigfile $prefix/grub.cfg\n");
  planned("/etc/default/grub");
  EXPECT_THAT(by_hand, IsEmpty());
  const root::Root opened = root.root();
  EXPECT_THAT(
      grub_menu_commands(root::Tree(opened)).value(),
      ElementsAre(ElementsAre("/usr/sbin/grub2-mkconfig", "-o", "/boot/efi/EFI/centos/grub.cfg")));
  EXPECT_EQ(boot_lines(root::Tree(opened)).value().at(0).line, "linuxefi /vmlinuz ro quiet");
}

TEST_F(BootLoaders, VariablesOfGrubsEnvironmentCount) {
  const std::string entry = "/boot/loader/entries/a.conf";
  root.write(entry, "linux /b\noptions $kernelopts $tuned_params\n");
  root.write("/boot/grub2/grubenv",
             "# GRUB Environment Block\nkernelopts=root=UUID=1 ro crashkernel=160M \n####");
  EXPECT_EQ(planned(entry), "linux /b\noptions $kernelopts $tuned_params\n");
  EXPECT_THAT(by_hand, IsEmpty());
  root.write("/boot/grub2/grubenv", "# GRUB Environment Block\nsaved_entry=a\n####");
  root.write("/boot/grub2/grub.cfg",
             "if [ -z \"${kernelopts}\" ]; then\n  set kernelopts=\"ro crashkernel=160M \"\nfi\n");
  EXPECT_EQ(planned(entry), "linux /b\noptions $kernelopts $tuned_params\n");
}

// One that reserves nothing here is told, stays until another is asked for, and is overridden then
// and from then on.
TEST_F(BootLoaders, AReservationThatDoesNotServe) {
  root.write("/usr/sbin/grub-mkconfig", "default/grub.d");
  root.write("/boot/grub/grub.cfg", "");
  root.write("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"crashkernel=auto\"\n");
  CommandLine line = kLine;
  line.recommended = "128M";
  EXPECT_EQ(planned("/etc/default/grub.d/vmcore-guest.cfg", line), "");
  EXPECT_THAT(by_hand, ElementsAre(AllOf(HasSubstr("/etc/default/grub has crashkernel=auto"),
                                         HasSubstr("the kernel expects a number"),
                                         HasSubstr("`vmcore-guest setup --crashkernel 128M`"))));
  line.keep_reservation = false;
  EXPECT_THAT(planned("/etc/default/grub.d/vmcore-guest.cfg", line), HasSubstr("crashkernel=128M"));
  EXPECT_THAT(by_hand, IsEmpty());
  line.keep_reservation = true;
  line.chosen = "crashkernel=144M";
  EXPECT_THAT(planned("/etc/default/grub.d/vmcore-guest.cfg", line), HasSubstr("crashkernel=144M"));
  EXPECT_THAT(by_hand, IsEmpty());
  line.machine.knows_auto = true;
  EXPECT_EQ(planned("/etc/default/grub.d/vmcore-guest.cfg", line), "");
}

TEST_F(BootLoaders, EachEntryThatLacksItTakesIt) {
  const std::string menu = "/boot/extlinux/extlinux.conf";
  root.write(menu,
             "DEFAULT b\nLABEL a\n LINUX /a\n APPEND ro crashkernel=128M\n"
             "LABEL b\n LINUX /b\n APPEND ro\n");
  EXPECT_EQ(planned(menu),
            "DEFAULT b\nLABEL a\n LINUX /a\n APPEND ro crashkernel=128M\n"
            "LABEL b\n LINUX /b\n APPEND ro crashkernel=128M\n");
  const root::Root opened = root.root();
  EXPECT_EQ(boot_lines(root::Tree(opened)).value().at(0).line, "ro");
  EXPECT_THAT(by_hand, IsEmpty());
  root.write(menu, "DEFAULT b\nLABEL a\n LINUX /a\n APPEND ro\nLABEL b\n LINUX /b\n");
  planned(menu);
  EXPECT_THAT(by_hand, ElementsAre(HasSubstr("the default entry \"b\" has no APPEND line")));
}

TEST_F(BootLoaders, InheritedWordsAreTakenOutOfWhatIsNew) {
  root.write("/boot/loader/entries/new.conf", "linux /b\noptions ro crashkernel=128M\n");
  const root::Root opened = root.root();
  root::Tree tree(opened);
  ASSERT_TRUE(strip_inherited(tree, kLine.words));
  EXPECT_EQ(tree.text("/boot/loader/entries/new.conf").value(), "linux /b\noptions ro\n");
}

}  // namespace
}  // namespace vmcore::guest::setup
