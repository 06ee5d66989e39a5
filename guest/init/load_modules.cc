// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/init/load_modules.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "guest/config/capture_image.h"
#include "guest/config/gzip.h"
#include "src/base/whole_file.h"

namespace vmcore::guest::init {
namespace {

constexpr std::size_t kMost = 64U << 20;

Result<> load(const std::string& path) {
  TRY_ASSIGN(const std::string packed, read_file(path));
  TRY_ASSIGN(const std::string module, config::gunzip(packed, kMost));
  if (::syscall(SYS_init_module, module.data(), module.size(), "") != 0 && errno != EEXIST) {
    return fail_errno(errno, "init_module");
  }
  return {};
}

}  // namespace

void load_modules(const std::string& folder, const save::Say& say) {
  const std::string names = read_file(folder + "/" + std::string(config::kModuleList)).value_or("");
  for (std::size_t begin = 0; begin < names.size();) {
    const std::size_t end = std::min(names.find('\n', begin), names.size());
    const std::string name = names.substr(begin, end - begin);
    begin = end + 1;
    const std::string path = folder + "/" + name;
    if (const Result<> loaded = load(path); !loaded) {
      say(fmt::format("module {}: {}", name, loaded.error().message));
    }
    ::unlink(path.c_str());
  }
}

}  // namespace vmcore::guest::init
