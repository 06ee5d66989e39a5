// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/analyzers.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "src/base/number.h"
#include "src/base/whole_file.h"

namespace vmcore::cli {
namespace {

namespace fs = std::filesystem;

// The latest kernel that was out when a version of crash was; 8.0.6 was tried with 6.12.
struct Reads {
  std::string_view version;
  std::string_view kernel;
};
constexpr std::array<Reads, 9> kCrashReads{{{"7.3.0", "5.11"},
                                            {"8.0.0", "5.15"},
                                            {"8.0.1", "5.17"},
                                            {"8.0.2", "6.0"},
                                            {"8.0.3", "6.3"},
                                            {"8.0.4", "6.6"},
                                            {"8.0.5", "6.8"},
                                            {"8.0.6", "6.12"},
                                            {"9.0.0", "6.14"}}};

bool is_named(std::string_view file, std::string_view name) {
  return file == name ||
         (file.starts_with(name) && file.size() > name.size() + 1 && file[name.size()] == '-' &&
          file[name.size() + 1] >= '0' && file[name.size() + 1] <= '9');
}

// The first word with a digit in front and a dot in it: "crash 8.0.6", "GNU gdb (GDB) 13.1".
std::string version_in(std::string_view text) {
  while (!text.empty()) {
    const std::size_t begin = text.find_first_not_of(" \n");
    text.remove_prefix(std::min(text.size(), begin));
    const std::string_view word = text.substr(0, text.find_first_of(" \n"));
    if (!word.empty() && word.front() >= '0' && word.front() <= '9' &&
        word.find('.') != std::string_view::npos) {
      return std::string(word);
    }
    text.remove_prefix(word.size());
  }
  return "";
}

std::vector<std::string> folders_of(std::string_view path) {
  std::vector<std::string> folders;
  while (!path.empty()) {
    const std::string_view folder = path.substr(0, path.find(':'));
    if (folder.starts_with('/')) {
      folders.emplace_back(folder);
    }
    path.remove_prefix(std::min(path.size(), folder.size() + 1));
  }
  std::error_code error;
  for (fs::directory_iterator at("/opt", error), end; !error && at != end; at.increment(error)) {
    folders.push_back((at->path() / "bin").string());
  }
  return folders;
}

// The dump has no note that tells where its kernel lies.
bool lacks_note(const DumpToOpen& dump) {
  return dump.info.kernel && dump.info.kernel->vmcoreinfo != "note";
}

// Written by makedumpfile -F for a pipe.
bool is_flattened(const DumpToOpen& dump) {
  return dump.info.format.find("flattened") != std::string::npos;
}

tl::unexpected<Error> must_convert(const Analyzer& analyzer, const DumpToOpen& dump,
                                   std::string_view why) {
  return fail(Errc::unsupported,
              "{} {} does not read {}: {}. vmcorectl convert makes a file of it "
              "that opens everywhere",
              analyzer.name, analyzer.version, dump.path, why);
}

Result<Opening> crash_opening(const Analyzer& analyzer, const DumpToOpen& dump,
                              const std::string& script, const std::vector<std::string>& more) {
  Opening opening{.analyzer = analyzer, .command = {.words = {analyzer.program}}};
  auto& words = opening.command.words;
  // Not by -i: then crash waits for no pipe, and takes the ended shell of the one before for that
  // of the next one: "pipe operation failed" (cmdline.c, shell_has_exited; 8.0.6). Without a last
  // "quit" it ends with an error.
  if (!script.empty()) {
    words.emplace_back("-s");
    TRY_ASSIGN(opening.command.input, read_file(script));
    opening.command.input += "\nquit\n";
  }
  // Pages that are missing are zeros: crash gives up else (retrace-server #474).
  if (dump.info.incomplete) {
    words.push_back("--zero_excluded");
  }
  if (lacks_note(dump) && dump.info.kernel->in_memory) {
    words.push_back(fmt::format("--kaslr={:#x}", dump.info.kernel->kaslr_offset));
    words.insert(words.end(),
                 {"-m", fmt::format("phys_base={:#x}",
                                    static_cast<std::uint64_t>(dump.info.kernel->phys_base))});
  }
  if (!dump.debuginfo.module_folder.empty()) {
    words.insert(words.end(), {"--mod", dump.debuginfo.module_folder});
  }
  words.insert(words.end(), more.begin(), more.end());
  words.insert(words.end(), {dump.debuginfo.vmlinux->path, dump.path});
  const auto* const reads = std::ranges::find_if(kCrashReads, [&](const Reads& row) {
    return compare_versions(analyzer.version, row.version) <= 0;
  });
  if (reads != kCrashReads.end() &&
      compare_versions(dump.debuginfo.release, std::string(reads->kernel) + ".9999") > 0) {
    opening.remarks.push_back(
        {Errc::unsupported, fmt::format("crash {} is older than Linux {}: tasks and modules may be "
                                        "missing in what it shows",
                                        analyzer.version, dump.debuginfo.release)});
  }
  return opening;
}

Result<Opening> drgn_opening(const Analyzer& analyzer, const DumpToOpen& dump,
                             const std::string& script, const std::vector<std::string>& more) {
  if (lacks_note(dump) || is_flattened(dump)) {
    return must_convert(analyzer, dump,
                        is_flattened(dump) ? "it is flattened" : "it has no VMCOREINFO note");
  }
  // Without its own search: what it finds there was looked at, and is not of this kernel.
  Opening opening{.analyzer = analyzer,
                  .command = {.words = {analyzer.program, "--no-default-symbols", "-c", dump.path,
                                        "-s", dump.debuginfo.vmlinux->path}}};
  auto& words = opening.command.words;
  for (const report::DebugModule& module : dump.debuginfo.modules) {
    words.insert(words.end(), {"-s", module.file.path});
  }
  if (dump.info.format.find("ELF") != std::string::npos &&
      compare_versions(analyzer.version, kDrgnReadsPhysical) < 0) {
    opening.command.environment.emplace_back("DRGN_USE_LIBKDUMPFILE_FOR_ELF=1");
  }
  if (!script.empty()) {
    words.push_back(script);
  }
  words.insert(words.end(), more.begin(), more.end());
  return opening;
}

// A path in a command of gdb.
std::string gdb_quoted(const std::string& path) {
  std::string quoted = "\"";
  for (const char letter : path) {
    quoted += letter == '"' || letter == '\\' ? std::string("\\") + letter : std::string(1, letter);
  }
  return quoted + "\"";
}

Result<Opening> gdb_opening(const Analyzer& analyzer, const DumpToOpen& dump,
                            const std::string& script, const std::vector<std::string>& more) {
  if (!dump.info.format.starts_with("ELF") || is_flattened(dump)) {
    return must_convert(analyzer, dump, "it is no ELF file (convert --format elf)");
  }
  if (!dump.info.kernel || !dump.info.kernel->in_memory) {
    return must_convert(analyzer, dump, "it is not known where its kernel lies");
  }
  Opening opening{
      .analyzer = analyzer,
      .command = {.words = {analyzer.program, "-q", "-ex",
                            fmt::format("symbol-file -o {:#x} {}", dump.info.kernel->kaslr_offset,
                                        gdb_quoted(dump.debuginfo.vmlinux->path)),
                            "-ex", "core-file " + gdb_quoted(dump.path)}}};
  auto& words = opening.command.words;
  // So it is taken where nothing else is installed.
  opening.remarks.push_back(
      {Errc::unsupported, "gdb knows nothing of tasks and modules of a kernel: crash and drgn do",
       Severity::fact});
  if (!script.empty()) {
    words.insert(words.end(), {"-batch", "-x", script});
  }
  words.insert(words.end(), more.begin(), more.end());
  return opening;
}

std::vector<std::string> reads_of(const Analyzer& analyzer, const DumpToOpen& dump,
                                  const std::string& script) {
  std::vector<std::string> reads{fs::path(analyzer.program).parent_path().string(), dump.path,
                                 dump.debuginfo.vmlinux->path};
  for (const report::DebugModule& module : dump.debuginfo.modules) {
    reads.push_back(module.file.path);
  }
  for (const std::string& more :
       {dump.debuginfo.module_folder, dump.debuginfo.vmlinux->alternate, script}) {
    if (!more.empty()) {
      reads.push_back(more);
    }
  }
  std::error_code error;
  for (std::string& path : reads) {
    path = fs::absolute(path, error).string();
  }
  return reads;
}

// A program that is confined runs in another folder.
DumpToOpen with_absolute_paths(DumpToOpen dump) {
  std::vector<std::string*> paths{&dump.path, &dump.debuginfo.vmlinux->path,
                                  &dump.debuginfo.vmlinux->alternate,
                                  &dump.debuginfo.module_folder};
  for (report::DebugModule& module : dump.debuginfo.modules) {
    paths.push_back(&module.file.path);
  }
  for (std::string* const path : paths) {
    std::error_code error;
    *path = path->empty() ? "" : fs::absolute(*path, error).string();
  }
  return dump;
}

struct Row {
  std::string_view name;
  Result<Opening> (*open)(const Analyzer&, const DumpToOpen&, const std::string&,
                          const std::vector<std::string>&);
};
constexpr std::array kAnalyzers{Row{"crash", crash_opening}, Row{"drgn", drgn_opening},
                                Row{"gdb", gdb_opening}};

}  // namespace

int compare_versions(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const auto left = take_number<unsigned>(a).value_or(0);
    const auto right = take_number<unsigned>(b).value_or(0);
    if (left != right) {
      return left < right ? -1 : 1;
    }
    // What is behind the numbers is not compared: "6.1.0-57", "8.0.6++".
    if (!a.starts_with('.') && !b.starts_with('.')) {
      return 0;
    }
    a = a.starts_with('.') ? a.substr(1) : "";
    b = b.starts_with('.') ? b.substr(1) : "";
  }
  return 0;
}

std::vector<Analyzer> installed_analyzers(const std::string& name, std::string_view path) {
  std::vector<Analyzer> found;
  std::set<std::string> seen;
  for (const std::string& folder : folders_of(path)) {
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      std::error_code ignored;
      const std::string program = at->path().string();
      if (!is_named(at->path().filename().string(), name) || ::access(program.c_str(), X_OK) != 0 ||
          !seen.insert(fs::canonical(at->path(), ignored).string()).second) {
        continue;
      }
      const auto text = output_of({.words = {program, "--version"}, .environment = {"TERM=dumb"}});
      if (text) {
        found.push_back({name, program, version_in(*text)});
      }
    }
  }
  std::ranges::stable_sort(found, [](const Analyzer& a, const Analyzer& b) {
    return compare_versions(a.version, b.version) > 0;
  });
  return found;
}

Result<Opening> opening_of(const Analyzer& analyzer, const DumpToOpen& dump,
                           const std::string& script, const std::vector<std::string>& more) {
  const auto row = std::ranges::find(kAnalyzers, analyzer.name, &Row::name);
  const DumpToOpen known = with_absolute_paths(dump);
  std::error_code error;
  const std::string path = script.empty() ? "" : fs::absolute(script, error).string();
  TRY_ASSIGN(Opening opening, row->open(analyzer, known, path, more));
  opening.command.reads = reads_of(analyzer, known, path);
  return opening;
}

}  // namespace vmcore::cli
