// Tree: a Root as it shall become. Changes pile up here and are seen by whoever reads here, but
// nothing is written (apply.h does that). Below them lies the base: the Root as it would be without
// what an earlier setup changed, so that what is planned never counts on its own traces.
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
  std::optional<Node> before;  // nothing: there is no such file
  std::optional<Node> after;
  std::string why;
};

class Tree {
 public:
  // `root` outlives it.
  explicit Tree(const Root& root) : root_(&root) {}
  const Root& root() const { return *root_; }

  // Nothing where nothing is. A link is not followed.
  Result<std::optional<Node>> node(const std::string& path) const;
  // The text of a file, links followed; empty where there is none.
  Result<std::string> text(const std::string& path) const;
  bool is_file(const std::string& path) const;
  // The names in a folder, sorted; none where there is no such folder.
  std::vector<std::string> names(const std::string& folder) const;
  // NAME as a program in the folders of programs; empty where it is not installed.
  std::string program(std::string_view name) const;

  void set_base(const std::string& path, std::optional<Node> node);
  void put(const std::string& path, std::optional<Node> node, std::string why);
  // A file of ours, with the lines that others added to it: where they stand if all of ours are
  // there, too, else behind ours. A script is ours as a whole when it changes.
  Result<> put_ours(const std::string& path, Node file, std::string why);
  // Replaces the text of a file, links followed; its mode stays.
  Result<> put_text(const std::string& path, std::string text, std::string why);

  // From what is there to what was planned: to be written.
  Result<std::vector<Change>> to_write() const;
  // From the base to what was planned: to be remembered.
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
