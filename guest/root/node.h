// Node: what stands under a path of a Root: a regular file or a symbolic link.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest {

struct Node {
  enum class Kind : std::uint8_t { file, link };
  Kind kind = Kind::file;
  std::string content;   // of a link: where it leads
  unsigned mode = 0644;  // a file's permission bits; a link has none
  bool operator==(const Node&) const = default;
};

Node file_node(std::string content, unsigned mode = 0644);
Node link_node(std::string target);

// The folder of a path, "/" at the top.
std::string parent_of(std::string_view path);

// What stands there; nothing where nothing does. A link is not followed. Anything else than files
// and links is Errc::unsupported.
Result<std::optional<Node>> read_node(const Root& root, std::string_view path);

// Puts the node there, or takes away what is there. Only a file or a link is replaced or taken
// away: anything else is Errc::unsupported and stays. Whoever looks sees the old one or the new
// one, whole, after a power cut as well. A file that is replaced leaves its owner and its SELinux
// label to the new one. The folder exists.
Result<> write_node(const Root& root, std::string_view path, const std::optional<Node>& node);
// The same, and makes the folders that are missing above a node.
Result<> put_node(const Root& root, std::string_view path, const std::optional<Node>& node);

// The folders that are missing above the path, outermost first.
std::vector<std::string> missing_parents(const Root& root, std::string_view path);
Result<> make_folder(const Root& root, std::string_view path);
// Does nothing where the folder is not empty, or not there.
Result<> remove_empty_folder(const Root& root, std::string_view path);

}  // namespace vmcore::guest
