// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/boot_loader.h"

#include <algorithm>
#include <array>

namespace vmcore::guest::setup {
namespace {

constexpr std::array<BootLoader, 4> kBootLoaders = {{
    {"GRUB", grub_found, grub_add},
    {"boot loader entries", entries_found, entries_add},
    {"unified kernel images", uki_found, uki_add},
    {"extlinux", extlinux_found, extlinux_add},
}};

constexpr std::string_view kReservation = "crashkernel=";

void note_words(Plan& plan, const root::Words& words) {
  for (const std::string& word : words) {
    if (std::ranges::find(plan.words, word) == plan.words.end()) {
      plan.words.push_back(word);
    }
  }
}

// Whether the running kernel was booted with the words, by whatever means.
bool booted_with(const root::Root& root, const CommandLine& line) {
  const auto booted = root.running() ? root.read("/proc/cmdline") : Result<std::string>("");
  return booted && std::ranges::all_of(line.words, [&](const std::string& word) {
           return root::has_word(*booted, word) ||
                  (line.keep_reservation && word.starts_with(kReservation) &&
                   !root::last_word_with(*booted, kReservation).empty());
         });
}

}  // namespace

root::Words missing_words(Plan& plan, const CommandLine& line, std::string_view where,
                          std::string_view text) {
  const std::string reserved = root::last_word_with(text, kReservation);
  root::Words missing;
  for (const std::string& word : line.words) {
    const bool reservation = word.starts_with(kReservation);
    if (reservation && !reserved.empty() && reserved != word) {
      plan.notes.push_back(
          line.keep_reservation
              ? fmt::format("{} has {}, which is kept (--crashkernel SIZE overrides it)", where,
                            reserved)
              : fmt::format("{} has {}; the kernel uses {}, which comes last", where, reserved,
                            word));
    }
    if (reservation && !reserved.empty() ? reserved != word && !line.keep_reservation
                                         : !root::has_word(text, word)) {
      missing.push_back(word);
    }
  }
  note_words(plan, missing);
  return missing;
}

bool has_key(std::string_view line, std::string_view key) {
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos || line.size() - first <= key.size()) {
    return false;
  }
  line.remove_prefix(first);
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  return std::ranges::equal(line.substr(0, key.size()), key, same) &&
         (line[key.size()] == ' ' || line[key.size()] == '\t');
}

Result<> add_to_command_line(Plan& plan, const CommandLine& line) {
  bool found = false;
  for (const BootLoader& loader : kBootLoaders) {
    if (loader.found(plan.tree)) {
      found = true;
      if (Result<> added = loader.add(plan, line); !added) {
        return in_context(std::move(added).error(), loader.name);
      }
    }
  }
  if (found) {
    return {};
  }
  if (!booted_with(plan.tree.root(), line)) {
    plan.by_hand.push_back(
        fmt::format("no supported boot loader was found: add \"{}\" to the kernel's command line "
                    "(QEMU: -append; libvirt: <cmdline> in <os>)",
                    root::joined(line.words)));
  }
  return {};
}

Result<> strip_inherited(root::Tree& tree, const root::Words& words) {
  std::vector<std::string> files = entry_files(tree);
  files.emplace_back(kKernelCmdline);
  for (const std::string& file : files) {
    TRY_ASSIGN(const auto node, tree.node(file));
    if (node && node->kind == root::Node::Kind::file) {
      std::string without = root::without_words(node->content, words);
      if (without != node->content) {
        tree.set_base(file, root::file_node(std::move(without), node->mode));
      }
    }
  }
  return {};
}

}  // namespace vmcore::guest::setup
