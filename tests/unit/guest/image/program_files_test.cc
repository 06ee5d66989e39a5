// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/program_files.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "guest/config/capture_image.h"
#include "tests/unit/guest/elf_program.h"
#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::image {
namespace {

bool has(const std::vector<std::string>& paths, std::string_view end) {
  return std::ranges::any_of(paths, [&](const std::string& path) { return path.ends_with(end); });
}

TEST(ProgramFiles, AreAllThatAShellNeeds) {
  const auto root = root::Root::open("/");
  const auto files = program_files(*root, "/bin/sh");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->front(), "/bin/sh");
  EXPECT_TRUE(has(*files, "/libc.so.6"));
  EXPECT_TRUE(has(*files, "/ld-linux-x86-64.so.2"));
  for (const std::string& path : *files) {
    EXPECT_TRUE(root->exists(path)) << path;
  }
}

// ssh and what it needs, where distributions have it: files, links, and the paths that are copied.
struct Layout {
  const char* name;
  std::string interpreter;
  std::string libc;
  std::string libraries;  // the folder
  std::vector<std::pair<std::string, std::string>> links;
  std::vector<std::string> expected;
};

const std::vector<Layout> kLayouts = {
    {"Arch",
     "/lib64/ld-linux-x86-64.so.2",
     "libc.so.6",
     "/usr/lib",
     {{"/lib64", "usr/lib"}, {"/lib", "usr/lib"}, {"/usr/lib64", "lib"}},
     {"/usr/bin/ssh", "/lib64/ld-linux-x86-64.so.2", "/lib64/libcrypto.so.3", "/lib64/libc.so.6"}},
    {"Fedora",
     "/lib64/ld-linux-x86-64.so.2",
     "libc.so.6",
     "/usr/lib64",
     {{"/lib64", "usr/lib64"}, {"/lib", "usr/lib"}},
     {"/usr/bin/ssh", "/lib64/ld-linux-x86-64.so.2", "/lib64/libcrypto.so.3", "/lib64/libc.so.6"}},
    {"Debian",
     "/lib64/ld-linux-x86-64.so.2",
     "libc.so.6",
     "/usr/lib/x86_64-linux-gnu",
     {{"/lib64", "usr/lib64"},
      {"/lib", "usr/lib"},
      {"/usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"}},
     {"/usr/bin/ssh", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libcrypto.so.3",
      "/lib/x86_64-linux-gnu/libc.so.6"}},
    {"Alpine",  // musl's loader is its libc
     "/lib/ld-musl-x86_64.so.1",
     "libc.musl-x86_64.so.1",
     "/usr/lib",
     {{"/lib/ld-musl-x86_64.so.1", "../usr/lib/libc.musl-x86_64.so.1"}},
     {"/usr/bin/ssh", "/lib/ld-musl-x86_64.so.1", "/usr/lib/libcrypto.so.3",
      "/usr/lib/libc.musl-x86_64.so.1"}},
};

TEST(ProgramFiles, AreFoundWhereDistributionsHaveThem) {
  for (const Layout& layout : kLayouts) {
    const FolderRoot folder;
    const std::string loader = layout.interpreter.substr(layout.interpreter.rfind('/') + 1);
    folder.write("/usr/bin/ssh", elf_program(layout.interpreter, {"libcrypto.so.3", layout.libc}));
    folder.write(layout.libraries + "/libcrypto.so.3", elf_program("", {layout.libc}));
    folder.write(layout.libraries + "/" + layout.libc, elf_program("", {}));
    folder.write(layout.libraries + "/" + loader, elf_program("", {}));
    for (const auto& [link, target] : layout.links) {
      folder.link(link, target);
    }
    const auto files = program_files(folder.root(), "/usr/bin/ssh");
    ASSERT_TRUE(files) << layout.name << ": " << files.error().message;
    EXPECT_EQ(*files, layout.expected) << layout.name;
    // The interpreter is told of the folders, whatever its own are.
    for (const std::string& file : *files) {
      const std::string of = ":" + file.substr(0, file.rfind('/')) + ":";
      EXPECT_TRUE(file == files->front() || file == layout.interpreter ||
                  (":" + std::string(config::kLibraryPath) + ":").find(of) != std::string::npos)
          << file;
    }
  }
}

TEST(ProgramFiles, ALibraryThatIsMissingIsNamed) {
  FolderRoot folder;
  std::filesystem::create_directories(folder.at("/bin"));
  std::filesystem::copy_file("/bin/sh", folder.at("/bin/sh"));
  std::filesystem::create_directories(folder.at("/lib64"));
  std::filesystem::copy_file("/lib64/ld-linux-x86-64.so.2",
                             folder.at("/lib64/ld-linux-x86-64.so.2"));
  const auto files = program_files(*root::Root::open(folder.path()), "/bin/sh");
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
    EXPECT_EQ(program_files(*root::Root::open(folder.path()), "/program").error().code,
              Errc::not_recognised);
  }
  EXPECT_EQ(program_files(*root::Root::open(folder.path()), "/none").error().code, Errc::not_found);
}

}  // namespace
}  // namespace vmcore::guest::image
