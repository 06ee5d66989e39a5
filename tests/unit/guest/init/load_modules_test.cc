// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/init/load_modules.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "guest/config/gzip.h"

namespace vmcore::guest::init {
namespace {

namespace fs = std::filesystem;

TEST(LoadModules, TellsWhatCannotBeLoadedAndRemovesAll) {
  std::string name = (fs::temp_directory_path() / "vmcore-modules-XXXXXX").string();
  const fs::path folder = ::mkdtemp(name.data());
  std::ofstream(folder / "order") << "a.ko.gz\nabsent.ko.gz\nb.ko.gz\n";
  std::ofstream(folder / "a.ko.gz") << *config::gzip("this is no module");
  std::ofstream(folder / "b.ko.gz") << std::string("nor is it packed\0\0\0\0", 20);
  std::vector<std::string> said;
  load_modules(folder, [&](std::string_view line) { said.emplace_back(line); });
  ASSERT_EQ(said.size(), 3U);
  EXPECT_EQ(said[0].find("module a.ko.gz: init_module: "), 0U) << said[0];
  EXPECT_NE(said[1].find("No such file"), std::string::npos) << said[1];
  EXPECT_EQ(said[2], "module b.ko.gz: gzip: the data is damaged");
  EXPECT_FALSE(fs::exists(folder / "a.ko.gz"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace vmcore::guest::init
