// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/dump_options.h"

#include <array>
#include <cstdio>

#include "src/cli/size_option.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/image/format_names.h"
#include "src/job/budget.h"

namespace vmcore::cli {
namespace {

struct LevelRange {
  Codec codec;
  int low, high;
};
constexpr std::array kLevelRanges{LevelRange{Codec::zstd, -7, 19}, LevelRange{Codec::zlib, 1, 12}};

// The words of a table of src/image/format_names.h.
template <class Names>
std::vector<std::string> words_of(const Names& names) {
  std::vector<std::string> words;
  for (const auto& [value, word] : names) {
    words.emplace_back(word);
  }
  return words;
}

// What no option can see alone. CLI11 reports by exception.
void check_compression(const job::DumpOptions& options, bool codec_given) {
  if (options.how.format == DumpFormat::elf && (codec_given || options.how.compress_level)) {
    throw CLI::ValidationError(
        "--compress", "an ELF dump is not compressed: leave out --compress and --compress-level");
  }
  if (!options.how.compress_level) {
    return;
  }
  for (const LevelRange& range : kLevelRanges) {
    if (range.codec == options.how.codec && *options.how.compress_level >= range.low &&
        *options.how.compress_level <= range.high && *options.how.compress_level != 0) {
      return;
    }
  }
  throw CLI::ValidationError(
      "--compress-level",
      "zstd has levels -7 to -1 and 1 to 19, zlib has 1 to 12, the others have none");
}

}  // namespace

void add_dump_options(CLI::App& command, job::DumpOptions& options) {
  options.how.threads = job::whole_budget().threads;
  command
      .add_option("-d,--dump-level", options.how.level,
                  "What to leave out, a sum: 1 zero pages, 2 page cache, 4 page cache with private "
                  "data, 8 user pages, 16 free pages")
      ->check(CLI::Range(0, 31))
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--format",
          [&options](const std::string& word) { options.how.format = *format_from_name(word); },
          "Format of the dump: kdump (kdump-compressed) or elf (not compressed)")
      ->check(CLI::IsMember(words_of(kFormatNames)))
      ->default_str(std::string(format_name(options.how.format)));
  CLI::Option* codec =
      command
          .add_option_function<std::string>(
              "--compress",
              [&options](const std::string& word) { options.how.codec = *codec_from_name(word); },
              "How to compress the pages of a kdump file")
          ->check(CLI::IsMember(words_of(kCodecNames)))
          ->default_str(std::string(codec_name(options.how.codec)));
  command.add_option("--compress-level", options.how.compress_level,
                     "Level of zstd (-7 to -1, 1 to 19) or zlib (1 to 12); default 1");
  command.add_option("--threads", options.how.threads, "Threads that filter and compress")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command.add_flag("--strict", options.strict,
                   "Fail and keep nothing if the dump would be incomplete or hold more than asked");
  command.add_flag("--verify", options.how.verify,
                   "Read the dump back and compare every page with its source");
  takes_size(command.add_option(
      "--bandwidth", options.how.bandwidth,
      "The most memory that is compressed and written each second, such as 200MiB. A "
      "paused guest does not wait for it"));
  command.add_flag("--bypass-cache", options.bypass_cache,
                   "Do not leave the dump in the host's page cache");
  command.add_flag("--force", options.force, "Replace an existing output file");
  command.parse_complete_callback(
      [&options, codec] { check_compression(options, codec->count() != 0); });
}

int exit_code_of(const job::DumpResult& result) {
  return result.as_asked() ? kExitDone : kExitNotAsAsked;
}

void print_remarks(const std::vector<Remark>& remarks) {
  for (const Remark& remark : remarks) {
    fmt::print(stderr, "vmcorectl: {}: {}\n", remark_label(remark), printable(remark.text));
  }
}

}  // namespace vmcore::cli
