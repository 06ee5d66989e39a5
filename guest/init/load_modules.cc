#include "guest/init/load_modules.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "guest/config/capture_image.h"
#include "src/base/fd.h"

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
  std::ifstream list(folder + "/" + std::string(kModuleList));
  for (std::string name; std::getline(list, name);) {
    if (const int error = load(folder + "/" + name); error != 0) {
      say(fmt::format("module {}: {}", name, std::strerror(error)));
    }
  }
}

}  // namespace vmcore::guest
