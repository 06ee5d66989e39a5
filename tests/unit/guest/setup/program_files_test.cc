#include "guest/setup/program_files.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/guest/setup/folder_root.h"

namespace vmcore::guest {
namespace {

bool has(const std::vector<std::string>& paths, std::string_view end) {
  return std::ranges::any_of(paths, [&](const std::string& path) { return path.ends_with(end); });
}

TEST(ProgramFiles, AreAllThatAShellNeeds) {
  const auto root = Root::open("/");
  const auto files = program_files(*root, "/bin/sh");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->front(), "/bin/sh");
  EXPECT_TRUE(has(*files, "/libc.so.6"));
  EXPECT_TRUE(has(*files, "/ld-linux-x86-64.so.2"));
  for (const std::string& path : *files) {
    EXPECT_TRUE(root->exists(path)) << path;
  }
}

TEST(ProgramFiles, ALibraryThatIsMissingIsNamed) {
  FolderRoot folder;
  std::filesystem::create_directories(folder.at("/bin"));
  std::filesystem::copy_file("/bin/sh", folder.at("/bin/sh"));
  std::filesystem::create_directories(folder.at("/lib64"));
  std::filesystem::copy_file("/lib64/ld-linux-x86-64.so.2",
                             folder.at("/lib64/ld-linux-x86-64.so.2"));
  const auto files = program_files(*Root::open(folder.path()), "/bin/sh");
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, Errc::not_found);
  EXPECT_NE(files.error().message.find("libc.so.6"), std::string::npos) << files.error().message;
}

TEST(ProgramFiles, AScriptIsNoProgram) {
  FolderRoot folder;
  for (const std::string& text : {std::string("#!/bin/sh\n"), std::string(),
                                  std::string("\x7f"
                                              "ELF",
                                              4),
                                  "\x7f"
                                  "ELF" +
                                      std::string(60, '\xff')}) {
    folder.write("/program", text);
    EXPECT_EQ(program_files(*Root::open(folder.path()), "/program").error().code,
              Errc::not_recognised);
  }
  EXPECT_EQ(program_files(*Root::open(folder.path()), "/none").error().code, Errc::not_found);
}

}  // namespace
}  // namespace vmcore::guest
