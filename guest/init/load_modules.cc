#include "guest/init/load_modules.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "guest/config/capture_image.h"
#include "src/base/fd.h"
#include "src/base/whole_file.h"

namespace vmcore::guest {
namespace {

// 0, or an errno.
int load(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || ::syscall(SYS_finit_module, file.get(), "", 0) != 0) {
    return errno == EEXIST ? 0 : errno;
  }
  return 0;
}

}  // namespace

void load_modules(const std::string& folder, const Say& say) {
  const std::string names = read_file(folder + "/" + std::string(kModuleList)).value_or("");
  for (std::size_t begin = 0; begin < names.size();) {
    const std::size_t end = std::min(names.find('\n', begin), names.size());
    const std::string name = names.substr(begin, end - begin);
    begin = end + 1;
    if (const int error = load(folder + "/" + name); error != 0) {
      say(fmt::format("module {}: {}", name, std::strerror(error)));
    }
  }
}

}  // namespace vmcore::guest
