#include "src/acquire/method.h"

#include <algorithm>
#include <utility>

#include "src/acquire/libvirt_guest.h"
#include "src/acquire/qmp_guest.h"

namespace vmcore::acquire {
namespace {

bool has_socket(const Selection& given) { return !given.socket.empty() && given.domain.empty(); }
bool has_domain(const Selection& given) { return !given.domain.empty() && given.socket.empty(); }

struct Method {
  const char* name;
  // Whether what the user gave is enough for it.
  bool (*fits)(const Selection& selection);
  const char* needs;
  Result<std::unique_ptr<Guest>> (*open)(const Selection& selection);
};

// The best first.
constexpr Method kMethods[] = {
    {"direct", has_socket, "--qmp SOCKET and no domain", open_direct_guest},
    {"qmp", has_socket, "--qmp SOCKET and no domain", open_qmp_guest},
    {"libvirt", has_domain, "a domain and no --qmp", open_libvirt_guest},
};

Result<OpenedGuest> open_by(const Method& method, const Selection& selection) {
  if (!method.fits(selection)) {
    return fail(Errc::invalid, "method {} needs {}", method.name, method.needs);
  }
  TRY_ASSIGN(std::unique_ptr<Guest> guest, method.open(selection));
  return OpenedGuest{std::move(guest), method.name, {}};
}

// What this user or this host does not allow, another method may do without. Anything else would go
// wrong the next time as well.
bool another_may_do(const Error& error) {
  return error.code == Errc::denied || error.code == Errc::unsupported;
}

Result<OpenedGuest> open_first(const Selection& selection) {
  std::vector<Remark> remarks;
  Result<OpenedGuest> opened = fail(Errc::invalid, "which guest? Give a domain, or --qmp SOCKET");
  for (const Method& method : kMethods) {
    if (!method.fits(selection)) {
      continue;
    }
    opened = open_by(method, selection);
    if (opened || !another_may_do(opened.error())) {
      break;
    }
    remarks.push_back({opened.error().code, fmt::format("method {} is not used: {}", method.name,
                                                        opened.error().message)});
  }
  if (opened) {
    opened->remarks = std::move(remarks);
  }
  return opened;
}

}  // namespace

Result<OpenedGuest> open_guest(const Selection& selection) {
  if (selection.method == kAutoMethod) {
    return open_first(selection);
  }
  const auto method = std::ranges::find(kMethods, selection.method, &Method::name);
  if (method == std::end(kMethods)) {
    return fail(Errc::invalid, "there is no method {}", selection.method);
  }
  return open_by(*method, selection);
}

std::vector<std::string> method_names() {
  std::vector<std::string> names{std::string(kAutoMethod)};
  for (const Method& method : kMethods) {
    names.emplace_back(method.name);
  }
  return names;
}

}  // namespace vmcore::acquire
