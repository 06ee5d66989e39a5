// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/tree.h"

#include <array>
#include <set>

#include "guest/root/edit_text.h"

namespace vmcore::guest::root {
namespace {

constexpr int kMostLinks = 40;

// "NAME" where `path` is "FOLDER/NAME".
std::string name_in(const std::string& folder, const std::string& path) {
  return parent_of(path) == folder ? path.substr(path.rfind('/') + 1) : "";
}

}  // namespace

Result<std::optional<Node>> Tree::base(const std::string& path) const {
  const auto found = base_.find(path);
  return found != base_.end() ? found->second : read_node(*root_, path);
}

Result<std::optional<Node>> Tree::node(const std::string& path) const {
  const auto found = planned_.find(path);
  return found != planned_.end() ? found->second.node : base(path);
}

Result<std::string> Tree::followed(std::string path) const {
  for (int links = 0; links < kMostLinks; ++links) {
    TRY_ASSIGN(const auto at, node(path));
    if (!at || at->kind != Node::Kind::link) {
      return path;
    }
    path = at->content.starts_with('/') ? at->content : parent_of(path) + "/" + at->content;
  }
  return fail(Errc::limit, "{}: too many symbolic links", path);
}

Result<std::string> Tree::text(const std::string& path) const {
  TRY_ASSIGN(const std::string real, followed(path));
  TRY_ASSIGN(auto at, node(real));
  return at ? std::move(at->content) : std::string();
}

bool Tree::is_file(const std::string& path) const {
  const auto real = followed(path);
  const auto at = real ? node(*real) : Result<std::optional<Node>>();
  return at && *at && (*at)->kind == Node::Kind::file;
}

std::vector<std::string> Tree::names(const std::string& folder) const {
  const auto listed = root_->list(folder);
  std::set<std::string> names;
  if (listed) {
    names.insert(listed->begin(), listed->end());
  }
  const auto lay_over = [&](const std::string& path, const std::optional<Node>& node) {
    const std::string name = name_in(folder, path);
    if (!name.empty() && node) {
      names.insert(name);
    } else {
      names.erase(name);
    }
  };
  for (const auto& [path, node] : base_) {
    lay_over(path, node);
  }
  for (const auto& [path, planned] : planned_) {
    lay_over(path, planned.node);
  }
  return {names.begin(), names.end()};
}

std::string Tree::program(std::string_view name) const {
  constexpr std::array kFolders = {"/usr/sbin", "/usr/bin",        "/sbin",
                                   "/bin",      "/usr/local/sbin", "/usr/local/bin"};
  for (const char* const folder : kFolders) {
    const std::string path = fmt::format("{}/{}", folder, name);
    if (root_->exists(path)) {
      return path;
    }
  }
  return "";
}

void Tree::set_base(const std::string& path, std::optional<Node> node) {
  base_[path] = std::move(node);
}

void Tree::put(const std::string& path, std::optional<Node> node, std::string why) {
  planned_[path] = {std::move(node), std::move(why)};
}

Result<> Tree::put_ours(const std::string& path, Node file, std::string why) {
  TRY_ASSIGN(const auto others, base(path));
  TRY_ASSIGN(auto now, read_node(*root_, path));
  if (others && others->kind == Node::Kind::file) {
    const std::string theirs = undo_edit("", file.content, others->content, {});
    const bool stands = now && has_lines(now->content, file.content) &&
                        undo_edit("", file.content, now->content, {}) == theirs;
    if (stands) {
      file = std::move(*now);
    } else if ((file.mode & 0111) == 0) {
      file.content += theirs;
    }
  }
  put(path, std::move(file), std::move(why));
  return {};
}

Result<> Tree::put_text(const std::string& path, std::string text, std::string why) {
  TRY_ASSIGN(const std::string real, followed(path));
  TRY_ASSIGN(const auto old, node(real));
  put(real, file_node(std::move(text), old ? old->mode : 0644), std::move(why));
  return {};
}

Result<std::vector<Change>> Tree::to_write() const {
  std::set<std::string> paths;
  for (const auto& [path, node] : base_) {
    paths.insert(path);
  }
  for (const auto& [path, planned] : planned_) {
    paths.insert(path);
  }
  std::vector<Change> changes;
  for (const std::string& path : paths) {
    TRY_ASSIGN(auto before, read_node(*root_, path));
    TRY_ASSIGN(auto after, node(path));
    if (before != after) {
      const auto planned = planned_.find(path);
      changes.push_back({path, std::move(before), std::move(after),
                         planned != planned_.end() ? planned->second.why : "restored"});
    }
  }
  return changes;
}

Result<std::vector<Change>> Tree::to_remember() const {
  std::vector<Change> changes;
  for (const auto& [path, planned] : planned_) {
    TRY_ASSIGN(auto before, base(path));
    if (before != planned.node) {
      changes.push_back({path, std::move(before), planned.node, planned.why});
    }
  }
  return changes;
}

}  // namespace vmcore::guest::root
