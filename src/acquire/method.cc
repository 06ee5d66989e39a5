#include "src/acquire/method.h"

#include <algorithm>

#include "src/acquire/libvirt_guest.h"
#include "src/acquire/qmp_guest.h"

namespace vmcore::acquire {
namespace {

struct Method {
  const char* name;
  // Whether what the user gave is enough for it; the first such method is taken.
  bool (*fits)(const Selection& selection);
  const char* needs;
  Result<std::unique_ptr<Guest>> (*open)(const Selection& selection);
};

constexpr Method kMethods[] = {
    {"qmp", [](const Selection& given) { return !given.socket.empty() && given.domain.empty(); },
     "--qmp SOCKET and no domain", open_qmp_guest},
    {"libvirt",
     [](const Selection& given) { return !given.domain.empty() && given.socket.empty(); },
     "a domain and no --qmp", open_libvirt_guest},
};

}  // namespace

Result<std::unique_ptr<Guest>> open_guest(const Selection& selection) {
  const auto method = std::ranges::find_if(kMethods, [&](const Method& row) {
    return selection.method.empty() ? row.fits(selection) : row.name == selection.method;
  });
  if (method == std::end(kMethods)) {
    return fail(Errc::invalid, "which guest? Give a domain, or --qmp SOCKET");
  }
  if (!method->fits(selection)) {
    return fail(Errc::invalid, "method {} needs {}", method->name, method->needs);
  }
  return method->open(selection);
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Method& method : kMethods) {
    names.emplace_back(method.name);
  }
  return names;
}

}  // namespace vmcore::acquire
