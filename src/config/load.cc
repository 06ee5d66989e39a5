// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <utility>

#include "src/base/fd.h"
#include "src/base/ownership.h"
#include "src/base/printable.h"
#include "src/base/shell.h"
#include "src/base/whole_file.h"
#include "src/config/config.h"
#include "src/config/keys.h"

namespace vmcore::config {
namespace {

namespace fs = std::filesystem;
using Type = Written::Type;

constexpr std::size_t kMostBytes = 1U << 20;
constexpr std::size_t kMostSections = 10'000;
constexpr std::string_view kSections[] = {"service", "store", "guests", "guest"};

// Whoever may write to it decides which programs run as root.
Result<> check_owner(int fd, const fs::path& path, bool is_folder) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    return fail_errno(errno, path.native());
  }
  if (is_folder != S_ISDIR(status.st_mode) || (!is_folder && !S_ISREG(status.st_mode))) {
    return fail(Errc::invalid, "{} is not a {}", path.native(),
                is_folder ? "folder" : "regular file");
  }
  return check_ours(status, path);
}

Result<std::string> read(const fs::path& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) {
    return fail_errno(errno, path.native());
  }
  TRY(check_owner(file.get(), path, false));
  return read_all(file.get(), path.native(), kMostBytes);
}

// The files of conf.d in the order of their names; none where there is no such folder.
Result<std::vector<fs::path>> files_beside(const fs::path& file) {
  const fs::path folder = file.parent_path() / "conf.d";
  const Fd open(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<fs::path> files;
  if (!open && errno == ENOENT) {
    return files;
  }
  if (!open) {
    return fail_errno(errno, folder.native());
  }
  TRY(check_owner(open.get(), folder, true));
  std::error_code error;
  for (fs::directory_iterator each(folder, error), end; !error && each != end;
       each.increment(error)) {
    const std::string name = each->path().filename().native();
    if (name.ends_with(".conf") && !name.starts_with('.')) {
      files.push_back(each->path());
    }
  }
  if (error) {
    return fail_errno(error.value(), folder.native());
  }
  std::ranges::sort(files);
  return files;
}

// Nothing for what is no value of a key: a table, a date, a list of something else than texts.
std::optional<Written> written(const toml::node& node) {
  if (const auto* text = node.as_string()) {
    return Written{Type::text, {text->get()}};
  }
  if (const auto* whole = node.as_integer()) {
    return Written{Type::whole, {fmt::format("{}", whole->get())}};
  }
  if (const auto* flag = node.as_boolean()) {
    return Written{Type::flag, {flag->get() ? "true" : "false"}};
  }
  const auto* list = node.as_array();
  if (list == nullptr) {
    return std::nullopt;
  }
  Written all{Type::list, {}};
  for (const toml::node& each : *list) {
    const auto* text = each.as_string();
    if (text == nullptr) {
      return std::nullopt;
    }
    all.words.push_back(text->get());
  }
  return all;
}

std::string shown(const std::optional<Written>& value) {
  if (!value || value->words.size() != 1) {
    return "this value";
  }
  return value->type == Type::text ? toml_text(value->word()) : value->word();
}

// Reads one file into a configuration, and goes on after each error.
class Reader {
 public:
  Reader(Checked& checked, const fs::path& path) : checked_(checked), path_(path) {}

  void read(std::string_view text) {
    const toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
      complain(parsed.error().source(),
               fmt::format("{}: see vmcored.conf(5) for the form of the file",
                           parsed.error().description()));
      return;
    }
    for (const auto& [name, node] : in_order(parsed.table())) {
      read_section(name, *node);
    }
  }

 private:
  using Named = std::pair<std::string, const toml::node*>;

  // As they stand in the file: a toml::table sorts them by name.
  static std::vector<Named> in_order(const toml::table& table) {
    std::vector<Named> nodes;
    for (auto&& [name, node] : table) {
      nodes.emplace_back(std::string(name.str()), &node);
    }
    std::ranges::stable_sort(nodes, {}, [](const Named& named) {
      const toml::source_position& at = named.second->source().begin;
      return std::pair(at.line, at.column);
    });
    return nodes;
  }

  void complain(const toml::source_region& where, const std::string& text) {
    checked_.errors.push_back({Errc::malformed, fmt::format("{}:{}: {}", path_.native(),
                                                            where.begin.line, printable(text))});
  }

  void read_section(const std::string& name, const toml::node& node) {
    const toml::table* const table = node.as_table();
    if (table == nullptr) {
      complain(node.source(), fmt::format("{} stands in no section: write it below [service], "
                                          "[store], [guests] or [guest.\"NAME\"]",
                                          name));
    } else if (name == "service") {
      read_keys("service", *table, service_keys(), checked_.config);
    } else if (name == "store") {
      read_keys("store", *table, store_keys(), checked_.config);
    } else if (name == "guests") {
      read_keys("guests", *table, guest_keys(), checked_.config.guests);
    } else if (name == "guest") {
      read_guests(*table);
    } else {
      complain(node.source(),
               fmt::format("there is no section [{}]: {}", name, what_instead(kSections, name)));
    }
  }

  void read_guests(const toml::table& guests) {
    for (const auto& [who, node] : in_order(guests)) {
      const toml::table* const table = node->as_table();
      if (table == nullptr || who.empty() || !is_printable(who)) {
        complain(node->source(), fmt::format("[guest] has no key {}: write [guest.\"NAME\"], or "
                                             "[guests] for what holds for all",
                                             who));
      } else if (checked_.config.sections.size() >= kMostSections) {
        complain(node->source(), fmt::format("there are more than {} sections of guests: use "
                                             "patterns such as [guest.\"web*\"]",
                                             kMostSections));
        return;
      } else {
        read_guest(who, *table);
      }
    }
  }

  void read_guest(const std::string& who, const toml::table& table) {
    GuestPolicy tried;
    GuestSection section{.who = who};
    for (const auto& [key, value] :
         read_keys(fmt::format("guest.{}", toml_text(who)), table, guest_keys(), tried)) {
      section.settings.emplace_back(key, value.word());
    }
    checked_.config.sections.push_back(std::move(section));
  }

  // Returns what was right.
  template <class Owner>
  std::vector<std::pair<std::string, Written>> read_keys(const std::string& section,
                                                         const toml::table& table,
                                                         std::span<const Key<Owner>> keys,
                                                         Owner& owner) {
    std::vector<std::pair<std::string, Written>> right;
    for (const auto& [name, node] : in_order(table)) {
      const Key<Owner>* const key = find_key(keys, name);
      if (key == nullptr) {
        const auto names = names_of(keys);
        complain(node->source(),
                 fmt::format("[{}] has no key {}: {}", section, name, what_instead(names, name)));
        continue;
      }
      if (auto value = written(*node); value && key->read(owner, *value)) {
        right.emplace_back(name, *std::move(value));
      } else {
        complain(node->source(), fmt::format("[{}] {}: {} is not allowed: write {}", section, name,
                                             shown(value), key->what));
      }
    }
    return right;
  }

  Checked& checked_;
  const fs::path& path_;
};

void read_into(Checked& checked, const fs::path& path) {
  if (const auto text = read(path)) {
    Reader(checked, path).read(*text);
  } else {
    checked.errors.push_back(text.error());
  }
}

// What each guest may take, by the sections.
void complete_budget(Config& config) {
  config.budget.guest_bytes = config.guests.store.bytes;
  config.budget.guest_count = config.guests.store.count;
  if (config.sections.empty()) {
    return;
  }
  const auto policies = std::make_shared<Config>();
  policies->guests = config.guests;
  policies->sections = config.sections;
  config.budget.of_guest = [policies](const std::string& name, const std::string& uuid) {
    return policies->policy_of(name, uuid).store;
  };
}

}  // namespace

Checked check(const fs::path& file) {
  Checked checked;
  read_into(checked, file);
  if (const auto others = files_beside(file)) {
    for (const fs::path& other : *others) {
      read_into(checked, other);
    }
  } else {
    checked.errors.push_back(others.error());
  }
  complete_budget(checked.config);
  return checked;
}

Result<Config> load(const fs::path& file) {
  Checked checked = check(file);
  if (checked.errors.empty()) {
    return std::move(checked.config);
  }
  Error first = std::move(checked.errors.front());
  if (checked.errors.size() > 1) {
    first.message += fmt::format(" (and {} more: vmcored --check-config --config {})",
                                 checked.errors.size() - 1, shell_quoted(file.native()));
  }
  return tl::unexpected(std::move(first));
}

}  // namespace vmcore::config
