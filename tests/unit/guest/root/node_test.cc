// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/node.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::root {
namespace {

using ::testing::ElementsAre;

TEST(NodeTest, AFileAndALinkAreReplacedAndTakenAway) {
  const FolderRoot root;
  root.write("/etc/file", "old");
  root.link("/etc/link", "file");
  const Root opened = root.root();
  EXPECT_TRUE(write_node(opened, "/etc/file", link_node("elsewhere")));
  EXPECT_TRUE(write_node(opened, "/etc/link", file_node("new")));
  EXPECT_EQ(std::filesystem::read_symlink(root.at("/etc/file")), "elsewhere");
  EXPECT_EQ(root.read("/etc/link"), "new");
  EXPECT_TRUE(write_node(opened, "/etc/file", std::nullopt));
  EXPECT_TRUE(write_node(opened, "/etc/file", std::nullopt));
  EXPECT_FALSE(root.exists("/etc/file"));
}

TEST(NodeTest, NothingElseIsReplacedOrTakenAway) {
  const FolderRoot root;
  root.write("/etc/folder/x", "");
  ASSERT_EQ(::mkfifo(root.at("/etc/pipe").c_str(), 0600), 0);
  for (const std::string path : {"/etc/folder", "/etc/pipe"}) {
    for (const auto& node :
         {std::optional(file_node("x")), std::optional(link_node("x")), std::optional<Node>()}) {
      const Result<> done = write_node(root.root(), path, node);
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().code, Errc::unsupported);
      EXPECT_EQ(done.error().message, path + " is neither a file nor a link");
    }
  }
  EXPECT_TRUE(std::filesystem::is_fifo(root.at("/etc/pipe")));
  EXPECT_TRUE(root.exists("/etc/folder/x"));
  EXPECT_THAT(root.root().list("/etc").value(), ElementsAre("folder", "pipe"));
}

TEST(NodeTest, MissingFoldersAreMadeForANodeOnly) {
  const FolderRoot root;
  const Root opened = root.root();
  EXPECT_TRUE(put_node(opened, "/a/b/file", std::nullopt));
  EXPECT_FALSE(root.exists("/a"));
  EXPECT_TRUE(put_node(opened, "/a/b/file", file_node("x")));
  EXPECT_EQ(root.read("/a/b/file"), "x");
  EXPECT_TRUE(put_node(opened, "/a/b/file", std::nullopt));
  EXPECT_FALSE(root.exists("/a/b/file"));
}

}  // namespace
}  // namespace vmcore::guest::root
