// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/finder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "src/base/fd.h"
#include "src/debuginfo/confined.h"
#include "src/debuginfo/packages.h"
#include "src/debuginfo/places.h"
#include "src/debuginfo/server.h"
#include "src/staging/staged_file.h"

namespace vmcore::debuginfo {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostEntries = 1U << 20;  // of a folder that is searched
constexpr std::size_t kMostRefused = 32;
constexpr const char* kModuleEnd = ".ko.debug";
// Where rpm and dpkg have the files that dwz makes of what several debug files share.
constexpr const char* kAlternates = ".dwz/";

constexpr const char* kGiven = "given";
constexpr const char* kCached = "cache";
constexpr const char* kInstalled = "installed";
constexpr const char* kFetched = "debuginfod";

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// "vmlinux", "vmlinux-6.1.0", "vmlinux.debug"; what remains behind the dash in `release`.
bool is_vmlinux_name(std::string_view name, std::string& release) {
  constexpr std::string_view kName = "vmlinux";
  if (!name.starts_with(kName)) {
    return false;
  }
  name.remove_prefix(kName.size());
  if (name.ends_with(".debug")) {
    name.remove_suffix(std::string_view(".debug").size());
  }
  release = name.starts_with('-') ? name.substr(1) : "";
  return name.empty() || name.starts_with('-');
}

// Whether the name, which anybody may have chosen, is that of a file in a folder.
bool is_file_name(const std::string& name) { return !name.empty() && name != "." && name != ".."; }

Result<Fd> open_regular(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    return fail_errno(errno, path);
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(Errc::invalid, "{} is no regular file", path);
  }
  return file;
}

class Finder {
 public:
  Finder(const WantedKernel& kernel, const Search& search) : kernel_(kernel), search_(search) {
    report_.release = kernel.release;
    report_.build_id = kernel.build_id;
    report_.banner = kernel.banner;
    report_.modules_known = kernel.modules_known;
    own_cache_ = search.cache + "/" +
                 (build_id_path(kernel.build_id).empty() ? kernel.release : kernel.build_id);
    for (const WantedModule& module : kernel.modules) {
      missing_.emplace(module.name, &module);
    }
  }

  Result<report::DebuginfoReport> find() {
    for (const std::string& path : search_.from) {
      TRY(look_at_given(path));
    }
    look_in_cache();
    look_in_places();
    for (const std::string& path : archives_) {
      if (!all_found()) {
        TRY(look_in_archive(path));
      }
    }
    if (search_.fetch && !all_found()) {
      fetch();
    }
    finish();
    return std::move(report_);
  }

 private:
  bool all_found() const {
    return report_.vmlinux && std::ranges::all_of(missing_, [](const auto& entry) {
             return entry.second->out_of_tree;
           });
  }

  void tell(const std::string& text) const {
    if (search_.progress) {
      search_.progress(text);
    }
  }

  void remark(const Error& error) { report_.remarks.push_back({error.code, error.message}); }

  void refuse(const std::string& path, const std::string& why) {
    if (report_.refused.size() < kMostRefused) {
      report_.refused.push_back({path, why});
    }
  }

  // --- single files ---

  // Whether the file was not looked at before, by whatever path.
  bool is_new(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) != 0 || seen_.emplace(status.st_dev, status.st_ino).second;
  }

  void look_at_vmlinux(const std::string& path, const char* source) {
    const auto file = report_.vmlinux ? Result<Fd>(Fd()) : open_regular(path);
    if (!file || !*file || !is_new(file->get())) {
      return;
    }
    const auto facts = inspect_confined(file->get());
    if (!facts) {
      refuse(path, facts.error().message);
      return;
    }
    take_vmlinux(path, source, *facts);
  }

  void take_vmlinux(const std::string& path, const char* source, const DebugFile& facts) {
    const auto matched = match_vmlinux(kernel_, facts);
    if (matched) {
      report_.vmlinux = {path, facts.build_id, *matched, source, alternate_of(path, facts)};
      return;
    }
    refuse(path, matched.error().message);
    if (!facts.has_debug_info && !facts.debug_link.empty()) {
      look_behind_link(path, facts.debug_link, source);
    }
  }

  // Where gdb looks for the file that a .gnu_debuglink names.
  void look_behind_link(const std::string& path, const std::string& link, const char* source) {
    if (link.find('/') != std::string::npos) {
      return;
    }
    const std::string folder = fs::path(path).parent_path().string();
    for (const std::string& place :
         {folder + "/" + link, folder + "/.debug/" + link,
          search_.root + "/usr/lib/debug" + folder.substr(search_.root.size()) + "/" + link}) {
      look_at_vmlinux(place, source);
    }
  }

  // The file to which dwz moved what several have; it must be there as well.
  std::string alternate_of(const std::string& path, const DebugFile& facts) {
    if (facts.alternate.empty()) {
      return "";
    }
    const fs::path named(facts.alternate);
    const std::string by_id = build_id_path(facts.alternate_build_id);
    for (const std::string& place :
         {(fs::path(path).parent_path() / named).string(), search_.root + facts.alternate,
          own_cache_ + "/" + kAlternates + named.filename().string(),
          search_.root + "/usr/lib/debug/" + by_id,
          search_.root + "/usr/lib/debug/" + kAlternates + named.filename().string()}) {
      const auto file = open_regular(place);
      const auto found = file ? inspect_confined(file->get()) : tl::unexpected(file.error());
      if (found && found->build_id == facts.alternate_build_id) {
        return place;
      }
    }
    report_.remarks.push_back(
        {Errc::not_found, fmt::format("{} refers to the alternate file {} (build-id {}), which is "
                                      "not found: types and names are missing without it",
                                      path, facts.alternate, facts.alternate_build_id)});
    return "";
  }

  // Whether it is the module.
  bool look_at_module(const WantedModule& module, const std::string& path, const char* source,
                      bool in_folder) {
    const auto file = open_regular(path);
    if (!file) {
      return false;
    }
    const auto facts = inspect_confined(file->get());
    const auto matched =
        facts ? match_module(kernel_, module, *facts, in_folder) : tl::unexpected(facts.error());
    if (!matched) {
      refuse(path, matched.error().message);
      return false;
    }
    add_module(module.name, {path, facts->build_id, *matched, source, alternate_of(path, *facts)});
    return true;
  }

  void add_module(const std::string& name, report::DebugFileFound file) {
    report_.modules.push_back({name, std::move(file)});
    missing_.erase(name);
  }

  // --- folders ---

  // All regular files below, links to files as well; `look` gets the path.
  void walk_folder(const std::string& folder, const std::function<void(const std::string&)>& look) {
    std::error_code error;
    std::size_t entries = 0;
    for (fs::recursive_directory_iterator
             at(folder, fs::directory_options::skip_permission_denied, error),
         end;
         !error && at != end; at.increment(error)) {
      if (++entries > kMostEntries) {
        report_.remarks.push_back(
            {Errc::limit, fmt::format("{} has more than {} files: the rest was not looked at",
                                      folder, kMostEntries)});
        return;
      }
      std::error_code ignored;
      if (at->is_regular_file(ignored)) {
        look(at->path().string());
      }
    }
  }

  void look_for_modules(const std::string& folder, const char* source) {
    if (missing_.empty()) {
      return;
    }
    std::map<std::string, std::vector<std::string>> files;
    walk_folder(folder, [&](const std::string& path) {
      const std::string name = module_of(name_of(path));
      if (missing_.contains(name)) {
        files[name].push_back(path);
      }
    });
    const std::string of_release = "/modules/" + kernel_.release + "/";
    const std::size_t before = report_.modules.size();
    for (const auto& [name, paths] : files) {
      const WantedModule& module = *missing_.at(name);
      for (const std::string& path : paths) {
        if (look_at_module(module, path, source, path.find(of_release) != std::string::npos)) {
          break;
        }
      }
    }
    if (const std::size_t found = report_.modules.size() - before; found > in_module_folder_) {
      in_module_folder_ = found;
      report_.module_folder = folder;
    }
  }

  Result<> look_at_given(const std::string& path) {
    std::error_code error;
    if (fs::is_directory(path, error)) {
      look_in_given_folder(path);
      return {};
    }
    TRY_ASSIGN(const Fd file, open_regular(path));
    const auto facts = inspect_confined(file.get());
    if (!facts) {
      refuse(path, facts.error().message);
    } else if (facts->kind == FileKind::packed) {
      archives_.push_back(path);
    } else if (const auto module = missing_.find(module_of(name_of(path)));
               module != missing_.end()) {
      look_at_module(*module->second, path, kGiven, false);
    } else if (!report_.vmlinux && is_new(file.get())) {
      take_vmlinux(path, kGiven, *facts);
    }
    return {};
  }

  void look_in_given_folder(const std::string& folder) {
    const std::string by_id = build_id_path(kernel_.build_id);
    std::vector<std::string> others;
    walk_folder(folder, [&](const std::string& path) {
      const std::string name = name_of(path);
      std::string release;
      if (is_vmlinux_name(name, release) || (!by_id.empty() && path.ends_with(by_id))) {
        look_at_vmlinux(path, kGiven);
      } else if (is_package_of(name, kernel_.release)) {
        archives_.push_back(path);
      } else if (is_package(name)) {
        others.push_back(name);
      }
    });
    look_for_modules(folder, kGiven);
    if (!others.empty()) {
      report_.remarks.push_back(
          {Errc::not_found,
           fmt::format("{} packages in {} are not of {} by their names, and were not looked at: "
                       "name one with --from",
                       others.size(), folder, kernel_.release),
           Severity::fact});
    }
  }

  void look_in_cache() {
    if (!search_.cache.empty()) {
      look_at_vmlinux(own_cache_ + "/vmlinux", kCached);
      look_for_modules(own_cache_, kCached);
    }
  }

  void look_in_places() {
    for (const std::string& path :
         vmlinux_places(search_.root, kernel_.release, kernel_.build_id)) {
      look_at_vmlinux(path, kInstalled);
    }
    for (const std::string& folder : module_folders(search_.root, kernel_.release)) {
      look_for_modules(folder, kInstalled);
    }
    const auto left = missing_;
    for (const auto& [name, module] : left) {
      if (const std::string by_id = build_id_path(module->build_id); !by_id.empty()) {
        look_at_module(*module, search_.root + "/usr/lib/debug/" + by_id, kInstalled, false);
      }
    }
  }

  // --- packages and archives ---

  // The file that is being unpacked.
  struct Unpacked {
    staging::StagedFile file;
    std::string path;                      // in the archive
    const WantedModule* module = nullptr;  // or it is the vmlinux
    bool is_alternate = false;             // or neither
  };

  Result<staging::StagedFile> stage(const std::string& name) {
    const fs::path path = own_cache_ + "/" + name;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) {
      return fail_errno(error.value(), path.parent_path().string());
    }
    return staging::StagedFile::create(path, true);
  }

  Result<> look_in_archive(const std::string& path) {
    if (search_.cache.empty()) {
      return fail(Errc::not_found, "no folder to unpack {} to: give --cache", path);
    }
    TRY_ASSIGN(const Fd file, open_regular(path));
    tell("reading " + name_of(path));
    std::optional<Unpacked> current;
    const auto walked = walk_archive_confined(
        file.get(), [&](const std::string& entry) { return choose(path, entry, current); },
        [&]() -> Result<> {
          Unpacked done = std::move(*current);
          current.reset();
          return take(path, std::move(done));
        });
    if (!walked) {
      // What was found in it before is good.
      remark({walked.error().code, path + ": " + walked.error().message});
    }
    return {};
  }

  Result<Choice> choose(const std::string& archive, const std::string& entry,
                        std::optional<Unpacked>& current) {
    if (all_found()) {
      return Choice{.what = Choice::What::stop};
    }
    const std::string name = name_of(entry);
    if (entry.find(kAlternates) != std::string::npos && is_file_name(name)) {
      return choose_alternate(entry, name, current);
    }
    const auto module = missing_.find(module_of(name));
    std::string release;
    const std::string by_id = build_id_path(kernel_.build_id);
    const bool is_vmlinux = is_vmlinux_name(name, release) || name == "data" ||
                            (!by_id.empty() && entry.ends_with(by_id));
    if (is_vmlinux && !report_.vmlinux && !release.empty() && release != kernel_.release) {
      refuse(archive + ": " + entry, fmt::format("is of kernel {} by its name, and the dump is of "
                                                 "{}",
                                                 release, kernel_.release));
      return Choice{.what = is_package(archive) ? Choice::What::stop : Choice::What::skip};
    }
    const bool wanted =
        module != missing_.end() ? is_of_release(entry) : is_vmlinux && !report_.vmlinux;
    if (!wanted) {
      return Choice{};
    }
    tell("unpacking " + name);
    const WantedModule* const wanted_module = module == missing_.end() ? nullptr : module->second;
    TRY_ASSIGN(auto file,
               stage(wanted_module == nullptr ? "vmlinux" : wanted_module->name + kModuleEnd));
    current.emplace(Unpacked{std::move(file), entry, wanted_module});
    return Choice{.what = Choice::What::take, .fd = current->file.fd()};
  }

  // It stands before the files that refer to it: packages are sorted by name.
  Result<Choice> choose_alternate(const std::string& entry, const std::string& name,
                                  std::optional<Unpacked>& current) {
    tell("unpacking " + name);
    TRY_ASSIGN(auto file, stage(kAlternates + name));
    current.emplace(Unpacked{.file = std::move(file), .path = entry, .is_alternate = true});
    return Choice{.what = Choice::What::take, .fd = current->file.fd()};
  }

  // A module of another release is not unpacked.
  bool is_of_release(const std::string& entry) const {
    constexpr std::string_view kModules = "/modules/";
    const std::size_t at = entry.find(kModules);
    return at == std::string::npos ||
           entry.compare(at + kModules.size(), kernel_.release.size() + 1, kernel_.release + "/") ==
               0;
  }

  Result<> take(const std::string& archive, Unpacked done) {
    if (done.is_alternate) {  // alternate_of() proves it
      TRY(done.file.commit());
      return {};
    }
    const std::string where = archive + ": " + done.path;
    const auto facts = inspect_confined(done.file.fd());
    const bool in_folder = done.path.find("/modules/" + kernel_.release + "/") != std::string::npos;
    const auto matched = !facts ? tl::unexpected(facts.error())
                         : done.module == nullptr
                             ? match_vmlinux(kernel_, *facts)
                             : match_module(kernel_, *done.module, *facts, in_folder);
    if (!matched) {
      refuse(where, matched.error().message);
      return {};
    }
    TRY_ASSIGN(const staging::Kept kept, done.file.commit());
    keep(done.module, {kept.path.string(), facts->build_id, *matched, kGiven}, *facts);
    return {};
  }

  // In the cache.
  void keep(const WantedModule* module, report::DebugFileFound file, const DebugFile& facts) {
    file.alternate = alternate_of(file.path, facts);
    if (module != nullptr) {
      add_module(module->name, std::move(file));
      if (++in_own_cache_ > in_module_folder_) {
        report_.module_folder = own_cache_;
      }
      return;
    }
    report_.vmlinux = std::move(file);
  }

  // --- servers ---

  void fetch() {
    if (build_id_path(kernel_.build_id).empty()) {
      remark({Errc::not_found,
              "debuginfod servers find a kernel by its build-id, and that of the "
              "dump is not known"});
      return;
    }
    // libdebuginfod makes its own cache only in a ~/.cache that is there.
    std::error_code ignored;
    fs::create_directories(own_cache_, ignored);
    auto servers = Servers::open(report_.remarks);
    if (!servers) {
      remark(servers.error());
      return;
    }
    if (!report_.vmlinux) {
      fetch_one(*servers, kernel_.build_id, nullptr);
    }
    const auto left = missing_;
    for (const auto& [name, module] : left) {
      // A server that does not have the kernel does not have its modules.
      if (report_.vmlinux && !build_id_path(module->build_id).empty() && !module->out_of_tree) {
        fetch_one(*servers, module->build_id, module);
      }
    }
  }

  void fetch_one(Servers& servers, const std::string& build_id, const WantedModule* module) {
    const std::string what = module == nullptr ? "vmlinux" : module->name;
    tell("asking debuginfod for " + what);
    const auto path = servers.find(build_id);
    const auto kept =
        path ? copy_to_cache(*path, module == nullptr ? "vmlinux" : module->name + kModuleEnd)
             : tl::unexpected(path.error());
    if (!kept) {
      remark({kept.error().code, what + ": " + kept.error().message});
      return;
    }
    const auto file = open_regular(*kept);
    const auto facts = file ? inspect_confined(file->get()) : tl::unexpected(file.error());
    const auto matched = !facts              ? tl::unexpected(facts.error())
                         : module == nullptr ? match_vmlinux(kernel_, *facts)
                                             : match_module(kernel_, *module, *facts, false);
    if (!matched) {
      refuse(*kept, matched.error().message);
      std::error_code ignored;
      fs::remove(*kept, ignored);
      return;
    }
    fetch_alternate(servers, *facts);
    keep(module, {*kept, facts->build_id, *matched, kFetched}, *facts);
  }

  // A Remark of alternate_of() tells where it is not there.
  void fetch_alternate(Servers& servers, const DebugFile& facts) {
    const std::string name = fs::path(facts.alternate).filename().string();
    if (is_file_name(name) && !build_id_path(facts.alternate_build_id).empty() &&
        fetched_alternates_.insert(facts.alternate_build_id).second) {
      tell("asking debuginfod for " + name);
      const auto path = servers.find(facts.alternate_build_id);
      if (path) {
        static_cast<void>(copy_to_cache(*path, kAlternates + name));
      }
    }
  }

  // libdebuginfod's cache forgets, and its names say nothing to crash.
  Result<std::string> copy_to_cache(const std::string& path, const std::string& name) {
    const std::string to = own_cache_ + "/" + name;
    std::error_code error;
    fs::create_directories(fs::path(to).parent_path(), error);
    fs::remove(to, error);
    fs::create_hard_link(path, to, error);
    if (error) {
      fs::copy_file(path, to, fs::copy_options::overwrite_existing, error);
    }
    return error ? Result<std::string>(fail_errno(error.value(), to)) : to;
  }

  // --- the end ---

  void finish() {
    for (const auto& [name, module] : missing_) {
      (module->out_of_tree ? report_.foreign_modules : report_.missing_modules).push_back(name);
    }
    if (!report_.is_complete()) {
      report_.advice = advise(kernel_);
    }
    std::ranges::sort(report_.modules, {}, &report::DebugModule::name);
  }

  const WantedKernel& kernel_;
  const Search& search_;
  std::string own_cache_;
  report::DebuginfoReport report_;
  std::map<std::string, const WantedModule*> missing_;
  std::vector<std::string> archives_;
  std::set<std::pair<dev_t, ino_t>> seen_;
  std::set<std::string> fetched_alternates_;  // build-ids that servers were asked for
  std::size_t in_module_folder_ = 0;
  std::size_t in_own_cache_ = 0;
};

}  // namespace

Result<std::string> usual_cache() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') {
    return std::string(cache) + "/vmcorectl/symbols";
  }
  const char* const home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') {
    return fail(Errc::not_found, "no folder for a cache is known: set HOME, or give --cache");
  }
  return std::string(home) + "/.cache/vmcorectl/symbols";
}

Result<report::DebuginfoReport> find_debuginfo(const WantedKernel& kernel, const Search& search) {
  if (!is_release(kernel.release) && build_id_path(kernel.build_id).empty()) {
    return fail(Errc::not_found,
                "neither the release nor the build-id of the dump's kernel is "
                "known");
  }
  return Finder(kernel, search).find();
}

}  // namespace vmcore::debuginfo
