// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/confined.h"

#include <gtest/gtest.h>

#include "tests/unit/debuginfo/files.h"

namespace vmcore::debuginfo {
namespace {

TEST(Confined, SaysWhatInspectSays) {
  const Files files;
  files.put("vmlinux", a_vmlinux().build());
  const Fd file = files.open("vmlinux");
  const auto confined = inspect_confined(file.get());
  ASSERT_TRUE(confined) << confined.error().message;
  EXPECT_EQ(*confined, inspect(file.get()).value());
}

TEST(Confined, AnErrorComesThrough) {
  const Files files;
  files.put("vmlinux",
            "\x7f"
            "ELF and nothing more");
  const auto confined = inspect_confined(files.open("vmlinux").get());
  ASSERT_FALSE(confined);
  EXPECT_EQ(confined.error().code, Errc::malformed);
}

TEST(Confined, AFileThatGrowsBeyondTheLimitEndsTheChildAlone) {
  const Files files;
  files.put("tree/a", "x");
  files.run(
      "truncate -s 20G tree/big && echo x >> tree/big && tar -C tree --sparse -cf archive big");
  const Fd archive = files.open("archive");
  const Fd out(::open(files.path("out").c_str(), O_RDWR | O_CREAT, 0600));
  const auto walked = walk_archive_confined(
      archive.get(),
      [&](const std::string&) -> Result<Choice> {
        return Choice{.what = Choice::What::take, .fd = out.get()};
      },
      []() -> Result<> { return {}; });
  EXPECT_FALSE(walked);
}

TEST(Messages, RoundTrip) {
  const DebugFile file{.kind = FileKind::module,
                       .build_id = "ab",
                       .release = "6.1",
                       .has_debug_info = true,
                       .debug_link = "x.debug"};
  EXPECT_EQ(decode(encode(file)).value(), file);
  for (const char* const bad : {"", "0", "91", "01", "01a"}) {
    EXPECT_FALSE(decode(bad)) << bad;
  }
  EXPECT_FALSE(decode(encode(file) + "more"));
}

TEST(Messages, CodeFactsRoundTrip) {
  const CodeFacts facts{.lines = {{"inner", "kernel/a.c", 7}, {"outer", "", 0}},
                        .arguments = {{"task", "struct task_struct *", UINT64_MAX}}};
  const std::string text = encode(facts);
  const CodeFacts again = decode_facts(text).value();
  ASSERT_EQ(again.lines.size(), 2U);
  EXPECT_EQ(again.lines[0].file, "kernel/a.c");
  EXPECT_EQ(encode(again), text);
  EXPECT_TRUE(decode_facts(encode(CodeFacts{})).value().lines.empty());
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(decode_facts(std::string_view(text).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_facts(text + "more"));
  const char many[] =
      "65\0"
      "0\0";
  EXPECT_FALSE(decode_facts(std::string_view(many, sizeof many - 1)));
}

TEST(Confined, AFileWithoutDebugInformationHasNoLines) {
  const Files files;
  files.put("vmlinux", "no ELF file");
  const std::vector<CodeAddress> addresses{{.address = 1, .function = "f"}};
  EXPECT_FALSE(look_up_confined({files.open("vmlinux").get()}, addresses));
}

}  // namespace
}  // namespace vmcore::debuginfo
