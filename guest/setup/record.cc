// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/record.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "guest/setup/boot_loader.h"

namespace vmcore::guest::setup {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr const char* kFolder = "/var/lib/vmcore-guest/setup";
constexpr std::array kCopies = {"before", "after"};

std::string copy_path(const char* which, const std::string& path) {
  return fmt::format("{}/{}{}", kFolder, which, path);
}

// Removes the copy and the folders that become empty.
Result<> remove_copy(const root::Root& root, const std::string& path) {
  TRY(root::put_node(root, path, std::nullopt));
  for (std::string folder = root::parent_of(path); folder != kFolder;
       folder = root::parent_of(folder)) {
    TRY(root::remove_empty_folder(root, folder));
  }
  return {};
}

Result<Record> read_manifest(const std::string& text) {
  Record record;
  try {
    const Json json = Json::parse(text);
    if (json.at("version") != kVersion) {
      return fail(Errc::unsupported, "{} was written by another version of vmcore-guest",
                  kManifest);
    }
    for (const auto& path : json.at("changes")) {
      record.changes.push_back({.path = path, .before = {}, .after = {}, .why = {}});
    }
    record.words = json.at("words").get<root::Words>();
    record.slot = json.at("slot");
    record.folders = json.at("folders").get<std::vector<std::string>>();
    record.pending = json.at("pending").get<std::vector<Command>>();
  } catch (const Json::exception& error) {
    return fail(Errc::malformed, "{}: {}", kManifest, error.what());
  }
  return record;
}

bool names(const Record& record, const std::string& path) {
  return std::ranges::find(record.changes, path, &root::Change::path) != record.changes.end();
}

// A file without our change: its old content, or, if it was edited since, without our lines.
std::optional<root::Node> without(const root::Change& change, const std::optional<root::Node>& now,
                                  const root::Words& words) {
  if (now == change.after) {
    return change.before;
  }
  const bool edited = now && now->kind == root::Node::Kind::file && change.after &&
                      change.after->kind == root::Node::Kind::file && now != change.before;
  if (!edited) {
    return now;
  }
  root::Node node = *now;
  node.content = root::undo_edit(change.before ? change.before->content : "", change.after->content,
                                 now->content, words);
  const bool blank = node.content.find_first_not_of(" \t\r\n") == std::string::npos;
  return !change.before && blank ? std::nullopt : std::optional(std::move(node));
}

}  // namespace

Result<Record> read_record(const root::Root& root) {
  const auto text = root.read(kManifest);
  if (!text) {
    return text.error().code == Errc::not_found ? Result<Record>(Record())
                                                : tl::unexpected(text.error());
  }
  TRY_ASSIGN(Record record, read_manifest(*text));
  for (root::Change& change : record.changes) {
    TRY_ASSIGN(change.before, root::read_node(root, copy_path("before", change.path)));
    TRY_ASSIGN(change.after, root::read_node(root, copy_path("after", change.path)));
  }
  return record;
}

Result<> write_record(const root::Root& root, const Record& record) {
  TRY_ASSIGN(const Record earlier, read_record(root));
  Json paths = Json::array();
  for (const root::Change& change : record.changes) {
    paths.push_back(change.path);
    TRY(root::put_node(root, copy_path("before", change.path), change.before));
    TRY(root::put_node(root, copy_path("after", change.path), change.after));
  }
  const Json json = {{"version", kVersion},       {"changes", paths},
                     {"words", record.words},     {"slot", record.slot},
                     {"folders", record.folders}, {"pending", record.pending}};
  TRY(root::put_node(root, kManifest, root::file_node(json.dump(2) + "\n")));
  for (const root::Change& change : earlier.changes) {
    for (const char* const which : kCopies) {
      if (!names(record, change.path)) {
        TRY(remove_copy(root, copy_path(which, change.path)));
      }
    }
  }
  return {};
}

Result<> remove_record(const root::Root& root, const Record& record) {
  TRY(root::put_node(root, kManifest, std::nullopt));
  for (const root::Change& change : record.changes) {
    for (const char* const which : kCopies) {
      TRY(remove_copy(root, copy_path(which, change.path)));
    }
  }
  return root::remove_empty_folder(root, kFolder);
}

Result<> set_base(root::Tree& tree, const Record& record) {
  for (const root::Change& change : record.changes) {
    TRY_ASSIGN(const auto now, root::read_node(tree.root(), change.path));
    tree.set_base(change.path, without(change, now, record.words));
  }
  return strip_inherited(tree, record.words);
}

}  // namespace vmcore::guest::setup
