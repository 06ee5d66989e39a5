// SPDX-License-Identifier: GPL-2.0-or-later
// Tree: a Root with planned changes. Readers of the Tree see the changes, but nothing is written
// (guest/setup/apply.h does that). Beneath the changes is the base: the Root without the changes of
// an earlier setup, so that a plan does not depend on its own traces.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/root/node.h"

namespace vmcore::guest::root {

struct Change {
  std::string path;
  std::optional<Node> before;  // nothing: the file does not exist
  std::optional<Node> after;
  std::string why;
};

class Tree {
 public:
  // `root` outlives it.
  explicit Tree(const Root& root) : root_(&root) {}
  const Root& root() const { return *root_; }

  // Nothing if the path does not exist. A link is not followed.
  Result<std::optional<Node>> node(const std::string& path) const;
  // The text of a file; links are followed. Empty if there is no file.
  Result<std::string> text(const std::string& path) const;
  bool is_file(const std::string& path) const;
  // The names in a folder, sorted; none if there is no such folder.
  std::vector<std::string> names(const std::string& folder) const;
  // The path of a program in the usual folders; empty if it is not installed.
  std::string program(std::string_view name) const;

  void set_base(const std::string& path, std::optional<Node> node);
  void put(const std::string& path, std::optional<Node> node, std::string why);
  // Plans a file of ours and keeps lines that others added to it: at their place if all of our
  // lines are still there, otherwise after our lines. A changed script is replaced as a whole.
  Result<> put_ours(const std::string& path, Node file, std::string why);
  // Plans a new text of a file; links are followed, the mode stays.
  Result<> put_text(const std::string& path, std::string text, std::string why);

  // The changes from the Root to the plan, to be written.
  Result<std::vector<Change>> to_write() const;
  // The changes from the base to the plan, to be recorded.
  Result<std::vector<Change>> to_remember() const;

 private:
  struct Planned {
    std::optional<Node> node;
    std::string why;
  };
  Result<std::optional<Node>> base(const std::string& path) const;
  Result<std::string> followed(std::string path) const;

  const Root* root_;
  std::map<std::string, std::optional<Node>> base_;
  std::map<std::string, Planned> planned_;
};

}  // namespace vmcore::guest::root
