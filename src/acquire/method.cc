#include "src/acquire/method.h"

#include <algorithm>
#include <utility>

#include "src/acquire/libvirt/guest.h"
#include "src/acquire/libvirt/snapshot.h"
#include "src/acquire/qmp/guest.h"
#include "src/acquire/qmp/snapshot.h"

namespace vmcore::acquire {
namespace {

bool has_either(const Selection& given) { return given.socket.empty() != given.domain.empty(); }
bool has_socket(const Selection& given) { return !given.socket.empty() && given.domain.empty(); }
bool has_domain(const Selection& given) { return !given.domain.empty() && given.socket.empty(); }

Result<std::unique_ptr<Guest>> open_direct(const Selection& selection) {
  return selection.domain.empty() ? open_direct_guest(selection) : open_direct_domain(selection);
}

struct Method {
  const char* name;
  // Whether what the user gave is enough for it.
  bool (*fits)(const Selection& selection);
  const char* needs;
  Result<std::unique_ptr<Guest>> (*open)(const Selection& selection);
};

// The best first.
constexpr Method kMethods[] = {
    {"direct", has_either, "a domain or --qmp SOCKET", open_direct},
    {"qmp", has_socket, "--qmp SOCKET and no domain", open_qmp_guest},
    {"libvirt", has_domain, "a domain and no --qmp", open_libvirt_guest},
};

Result<OpenedGuest> open_by(const Method& method, const Selection& selection) {
  if (!method.fits(selection)) {
    return fail(Errc::invalid, "method {} needs {}", method.name, method.needs);
  }
  TRY_ASSIGN(std::unique_ptr<Guest> guest, method.open(selection));
  std::vector<Remark> remarks = guest->remarks();
  return OpenedGuest{std::move(guest), method.name, std::move(remarks)};
}

Result<OpenedGuest> open_first(const Selection& selection) {
  std::vector<Remark> remarks;
  Result<OpenedGuest> opened = fail(Errc::invalid, "which guest? Give a domain, or --qmp SOCKET");
  const auto* method = selection.tried.empty()
                           ? std::begin(kMethods)
                           : std::ranges::find(kMethods, selection.tried, &Method::name) + 1;
  for (; method != std::end(kMethods); ++method) {
    if (!method->fits(selection)) {
      continue;
    }
    opened = open_by(*method, selection);
    if (opened || !another_may_do(opened.error())) {
      break;
    }
    remarks.push_back(passed_over(method->name, opened.error()));
  }
  if (opened) {
    opened->remarks.insert(opened->remarks.begin(), remarks.begin(), remarks.end());
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

Result<OpenedGuest> open_for_snapshot(const Selection& selection) {
  if (selection.method != kAutoMethod) {
    return fail(Errc::invalid,
                "--consistency snapshot has a method of its own: leave --method out");
  }
  if (!has_either(selection)) {
    return fail(Errc::invalid, "which guest? Give a domain, or --qmp SOCKET");
  }
  TRY_ASSIGN(std::unique_ptr<Guest> guest, has_socket(selection)
                                               ? open_qmp_snapshot(selection)
                                               : open_libvirt_snapshot(selection));
  std::vector<Remark> remarks = guest->remarks();
  return OpenedGuest{std::move(guest), kSnapshotMethod, std::move(remarks)};
}

bool another_may_do(const Error& error) {
  return error.code == Errc::denied || error.code == Errc::unsupported;
}

bool has_next(const Selection& selection, const std::string& method) {
  const auto* const row = std::ranges::find(kMethods, method, &Method::name);
  return selection.method == kAutoMethod && row != std::end(kMethods) &&
         std::any_of(row + 1, std::end(kMethods),
                     [&](const Method& next) { return next.fits(selection); });
}

Remark passed_over(const std::string& method, const Error& why) {
  return {why.code, fmt::format("method {} is not used: {}", method, why.message)};
}

std::vector<std::string> method_names() {
  std::vector<std::string> names{std::string(kAutoMethod)};
  for (const Method& method : kMethods) {
    names.emplace_back(method.name);
  }
  return names;
}

std::vector<std::string> methods_for(const Selection& selection) {
  std::vector<std::string> names;
  for (const Method& method : kMethods) {
    if (method.fits(selection)) {
      names.emplace_back(method.name);
    }
  }
  return names;
}

}  // namespace vmcore::acquire
