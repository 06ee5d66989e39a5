// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/boot_loader.h"

#include <algorithm>
#include <array>

#include "guest/config/kernel_words.h"
#include "guest/config/trimmed.h"

namespace vmcore::guest::setup {
namespace {

constexpr std::array<BootLoader, 4> kBootLoaders = {{
    {"GRUB", grub_found, grub_add, grub_lines},
    {"boot loader entries", entries_found, entries_add, entries_lines},
    {"unified kernel images", uki_found, uki_add, uki_lines},
    {"extlinux", extlinux_found, extlinux_add, extlinux_lines},
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
  return booted && !booted->empty() && lacking_words(line, *booted).empty();
}

// The crashkernel= that the kernel shall take. One that is there is the user's, and stays unless
// the user chose another.
std::string wanted_word(const CommandLine& line, const kexec::Reservation& there,
                        const std::string& ours) {
  if (there.word.empty() || !line.keep_reservation) {
    return ours;
  }
  return there.serves() || line.chosen.empty() ? there.word : line.chosen;
}

void report_reservation(Plan& plan, const CommandLine& line, std::string_view where,
                        const kexec::Reservation& there, const std::string& ours) {
  const std::string wanted = wanted_word(line, there, ours);
  if (wanted != there.word) {
    plan.notes.push_back(
        fmt::format("{} has {}; the kernel uses {}, which comes last", where, there.word, wanted));
  } else if (!there.serves()) {
    plan.by_hand.push_back(fmt::format(
        "{} has {}, which does not serve: {}. Override it with `vmcore-guest setup --crashkernel "
        "{}`",
        where, there.word, there.fault, line.recommended));
  } else if (wanted != ours) {
    plan.notes.push_back(fmt::format("{} has {}, which is kept (--crashkernel SIZE overrides it)",
                                     where, there.word));
  }
}

}  // namespace

root::Words lacking_words(const CommandLine& line, std::string_view booted) {
  const std::vector<std::string> words = config::kernel_words(booted);
  const kexec::Reservation there = kexec::reservation_of(booted, line.machine);
  root::Words lacking;
  for (const std::string& word : line.words) {
    const bool reserves = word.starts_with(kReservation);
    const std::string wanted = reserves ? wanted_word(line, there, word) : word;
    if (reserves ? wanted != there.word : std::ranges::find(words, word) == words.end()) {
      lacking.push_back(wanted);
    }
  }
  return lacking;
}

root::Words checked_words(Plan& plan, const CommandLine& line, std::string_view where,
                          std::string_view booted) {
  const kexec::Reservation there = kexec::reservation_of(booted, line.machine);
  for (const std::string& word : line.words) {
    if (word.starts_with(kReservation) && !there.word.empty()) {
      report_reservation(plan, line, where, there, word);
    }
  }
  return lacking_words(line, booted);
}

root::Words missing_words(Plan& plan, const CommandLine& line, std::string_view where,
                          std::string_view booted) {
  root::Words missing = checked_words(plan, line, where, booted);
  note_words(plan, missing);
  return missing;
}

Result<std::vector<BootLine>> boot_lines(const root::Tree& tree) {
  std::vector<BootLine> all;
  for (const BootLoader& loader : kBootLoaders) {
    if (loader.found(tree)) {
      TRY_ASSIGN(const std::vector<BootLine> lines, loader.lines(tree));
      all.insert(all.end(), lines.begin(), lines.end());
    }
  }
  return all;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    lines.emplace_back(config::trimmed(line));
  }
  return lines;
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
