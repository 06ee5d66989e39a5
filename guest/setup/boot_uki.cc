// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>

#include "guest/kexec/unified_image.h"
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

std::vector<std::string> files_in(const root::Tree& tree, const std::string& folder,
                                  std::string_view end) {
  std::vector<std::string> files;
  for (const std::string& name : tree.names(folder)) {
    if (name.ends_with(end)) {
      files.push_back(folder + "/" + name);
    }
  }
  return files;
}

}  // namespace

bool uki_found(const root::Tree& tree) { return !partition_with_images(tree).empty(); }

// The command line of an image, then those of its addons (systemd-stub 254).
Result<std::vector<BootLine>> uki_lines(const root::Tree& tree) {
  const std::string partition = partition_with_images(tree);
  std::vector<BootLine> lines;
  for (const std::string& image : files_in(tree, partition + "/EFI/Linux", ".efi")) {
    TRY_ASSIGN(std::string line, kexec::read_command_line(tree.root(), image));
    for (const std::string& folder : {partition + "/loader/addons", image + ".extra.d"}) {
      for (const std::string& addon : files_in(tree, folder, ".addon.efi")) {
        TRY_ASSIGN(const std::string more, kexec::read_command_line(tree.root(), addon));
        line += " " + more;
      }
    }
    lines.push_back({image, std::move(line)});
  }
  return lines;
}

Result<> uki_add(Plan& plan, const CommandLine& line) {
  TRY_ASSIGN(const std::string conf, plan.tree.text(kUkiConf));
  const std::vector<std::string> lines = lines_of(conf);
  const auto found = std::ranges::find_if(lines, is_inline_cmdline);
  const root::Words words =
      found == lines.end()
          ? root::Words()
          : missing_words(plan, line, kUkiConf, std::string_view(*found).substr(kInline.size()));
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
  TRY_ASSIGN(const std::vector<BootLine> images, uki_lines(plan.tree));
  bool lacking = false;
  for (const BootLine& image : images) {
    lacking = !checked_words(plan, line, image.where, image.line).empty() || lacking;
  }
  const std::string addon = partition + "/loader/addons/vmcore-guest.addon.efi";
  if (lacking) {
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
