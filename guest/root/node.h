// SPDX-License-Identifier: GPL-2.0-or-later
// Node: a regular file or a symbolic link at a path of a Root.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::root {

struct Node {
  enum class Kind : std::uint8_t { file, link };
  Kind kind = Kind::file;
  std::string content;   // of a link: its target
  unsigned mode = 0644;  // permission bits of a file
  bool operator==(const Node&) const = default;
};

Node file_node(std::string content, unsigned mode = 0644);
Node link_node(std::string target);

// The folder of a path; "/" for "/".
std::string parent_of(std::string_view path);

// Reads the node, without following a link; nothing if the path does not exist. Errc::unsupported
// if it is neither a regular file nor a link.
Result<std::optional<Node>> read_node(const Root& root, std::string_view path);

// Replaces the node atomically and durably, or removes it: other processes, and the system after a
// power cut, see either the old node or the new one as a whole. Only a file or a link is replaced
// or removed: anything else is Errc::unsupported and stays. A file keeps the owner and the SELinux
// label of the file that it replaces. The folder must exist.
Result<> write_node(const Root& root, std::string_view path, const std::optional<Node>& node);
// The same, and makes the folders that are missing above a node.
Result<> put_node(const Root& root, std::string_view path, const std::optional<Node>& node);

// The missing folders above the path, outermost first.
std::vector<std::string> missing_parents(const Root& root, std::string_view path);
Result<> make_folder(const Root& root, std::string_view path);
// Does nothing if the folder is not empty or does not exist.
Result<> remove_empty_folder(const Root& root, std::string_view path);

}  // namespace vmcore::guest::root
