// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>

#include "guest/setup/boot_loader.h"
#include "src/base/shell.h"

namespace vmcore::guest::setup {
namespace {

constexpr std::array kSystemPartitions = {"/efi", "/boot/efi", "/boot"};
constexpr const char* kUkiConf = "/etc/kernel/uki.conf";
constexpr std::string_view kInline = "Cmdline=";

// The EFI system partition with unified images; empty if there is none.
std::string partition_with_images(const root::Tree& tree) {
  for (const std::string partition : kSystemPartitions) {
    for (const std::string& name : tree.names(partition + "/EFI/Linux")) {
      if (name.ends_with(".efi")) {
        return partition;
      }
    }
  }
  return "";
}

// "Cmdline=root=..." contains the command line; "Cmdline=@FILE" names a file.
bool is_inline_cmdline(std::string_view line) {
  return line.starts_with(kInline) && !line.substr(kInline.size()).starts_with('@');
}

// mkinitcpio builds the images itself, from /etc/kernel/cmdline.
bool rebuilt_by_mkinitcpio(const root::Tree& tree) {
  for (const std::string& name : tree.names("/etc/mkinitcpio.d")) {
    const auto preset = tree.text("/etc/mkinitcpio.d/" + name);
    if (preset && preset->find("\ndefault_uki=") != std::string::npos) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool uki_found(const root::Tree& tree) { return !partition_with_images(tree).empty(); }

Result<> uki_add(Plan& plan, const CommandLine& line) {
  TRY_ASSIGN(const std::string conf, plan.tree.text(kUkiConf));
  const std::string cmdline = root::last_word_with(conf, kInline);  // its first word
  const bool is_inline = !cmdline.empty() && is_inline_cmdline(cmdline);
  const root::Words words = is_inline ? missing_words(plan, line, kUkiConf, conf) : root::Words();
  if (!words.empty()) {
    TRY(plan.tree.put_text(kUkiConf, root::with_words(conf, words, is_inline_cmdline),
                           "the command line of new images"));
  }
  if (!entries_found(plan.tree)) {  // else it has /etc/kernel/cmdline already
    TRY(entries_add(plan, line));
  }
  const std::string partition = partition_with_images(plan.tree);
  if (rebuilt_by_mkinitcpio(plan.tree) && plan.tree.is_file(kKernelCmdline)) {
    return {};
  }
  const std::string addon = partition + "/loader/addons/vmcore-guest.addon.efi";
  if (!plan.tree.root().exists(addon)) {  // systemd-stub 254 takes addons
    plan.by_hand.push_back(fmt::format(
        "the command line of a unified kernel image is inside it: put an addon beside it with `{} "
        "&& {}` (under Secure Boot with --secureboot-private-key and --secureboot-certificate), or "
        "build the image again",
        shell_command({"mkdir", "-p", partition + "/loader/addons"}),
        shell_command(
            {"ukify", "build", "--cmdline=" + root::joined(line.words), "--output=" + addon})));
  }
  return {};
}

}  // namespace vmcore::guest::setup
