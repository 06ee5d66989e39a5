// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "guest/setup/boot_loader.h"

namespace vmcore::guest::setup {
namespace {

constexpr const char* kDefaults = "/etc/default/grub";
constexpr const char* kDropIns = "/etc/default/grub.d";
// Sorts after kdump-tools.cfg: the last crashkernel= wins.
constexpr const char* kDropIn = "/etc/default/grub.d/vmcore-guest.cfg";

std::string mkconfig(const root::Tree& tree) {
  const std::string path = tree.program("grub-mkconfig");
  return path.empty() ? tree.program("grub2-mkconfig") : path;
}

// The text of all files that grub-mkconfig sources and that last; drop-ins only if it reads them.
Result<std::string> sourced(const root::Tree& tree, bool drop_ins,
                            const std::vector<std::string>& not_lasting) {
  TRY_ASSIGN(std::string text, tree.text(kDefaults));
  for (const std::string& name : drop_ins ? tree.names(kDropIns) : std::vector<std::string>()) {
    const std::string path = fmt::format("{}/{}", kDropIns, name);
    if (name.ends_with(".cfg") && std::ranges::find(not_lasting, path) == not_lasting.end()) {
      TRY_ASSIGN(const std::string more, tree.text(path));
      text += "\n" + more;
    }
  }
  return text;
}

}  // namespace

bool grub_found(const root::Tree& tree) { return !mkconfig(tree).empty(); }

Result<> grub_add(Plan& plan, const CommandLine& line) {
  root::Tree& tree = plan.tree;
  // Only Debian and Ubuntu have drop-ins; the script itself shows whether it sources them.
  TRY_ASSIGN(const std::string script, tree.root().read(mkconfig(tree)));
  const bool drop_ins = script.find("default/grub.d") != std::string::npos;
  TRY_ASSIGN(const std::string text, sourced(tree, drop_ins, line.not_lasting));
  const root::Words words = missing_words(plan, line, kDefaults, text);
  if (words.empty()) {
    return {};
  }
  // A line of its own works whatever quotes the lines above use, because a shell reads it. _DEFAULT
  // comes last on the kernel command line.
  const std::string ours = fmt::format(
      "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT {}\"", root::joined(words));
  if (drop_ins) {
    return tree.put_ours(kDropIn, root::file_node(fmt::format("{}\n{}\n", kOurMark, ours)),
                         "the command line");
  }
  TRY_ASSIGN(const std::string defaults, tree.text(kDefaults));
  return tree.put_text(kDefaults, root::with_line(defaults, ours), "the command line");
}

}  // namespace vmcore::guest::setup
