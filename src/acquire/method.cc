// SPDX-License-Identifier: GPL-2.0-or-later
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

struct MethodRow {
  Method method;
  std::string_view name;
  // Whether what the user gave is enough for it.
  bool (*fits)(const Selection& selection);
  const char* needs;
  Result<std::unique_ptr<Guest>> (*open)(const Selection& selection);
};

// The best first.
constexpr MethodRow kMethods[] = {
    {Method::direct, "direct", has_either, "a domain or --qmp SOCKET", open_direct},
    {Method::qmp, "qmp", has_socket, "--qmp SOCKET and no domain", open_qmp_guest},
    {Method::libvirt, "libvirt", has_domain, "a domain and no --qmp", open_libvirt_guest},
};

Result<OpenedGuest> open_by(const MethodRow& row, const Selection& selection) {
  if (!row.fits(selection)) {
    return fail(Errc::invalid, "method {} needs {}", row.name, row.needs);
  }
  TRY_ASSIGN(std::unique_ptr<Guest> guest, row.open(selection));
  std::vector<Remark> remarks = guest->remarks();
  return OpenedGuest{std::move(guest), row.method, std::move(remarks)};
}

const MethodRow* row_of(Method method) {
  return std::ranges::find(kMethods, method, &MethodRow::method);
}

Result<OpenedGuest> open_first(const Selection& selection) {
  std::vector<Remark> remarks;
  Result<OpenedGuest> opened = fail(Errc::invalid, "which guest? Give a domain, or --qmp SOCKET");
  const MethodRow* row = selection.tried ? row_of(*selection.tried) + 1 : std::begin(kMethods);
  for (; row != std::end(kMethods); ++row) {
    if (!row->fits(selection)) {
      continue;
    }
    opened = open_by(*row, selection);
    if (opened || !another_may_do(opened.error())) {
      break;
    }
    remarks.push_back(passed_over(row->method, opened.error()));
  }
  if (opened) {
    opened->remarks.insert(opened->remarks.begin(), remarks.begin(), remarks.end());
  }
  return opened;
}

}  // namespace

Result<OpenedGuest> open_guest(const Selection& selection) {
  return selection.method ? open_by(*row_of(*selection.method), selection) : open_first(selection);
}

Result<OpenedGuest> open_for_snapshot(const Selection& selection) {
  if (selection.method) {
    return fail(Errc::invalid, "--consistency snapshot has its own method: leave --method out");
  }
  if (!has_either(selection)) {
    return fail(Errc::invalid, "which guest? Give a domain, or --qmp SOCKET");
  }
  TRY_ASSIGN(std::unique_ptr<Guest> guest, has_socket(selection)
                                               ? open_qmp_snapshot(selection)
                                               : open_libvirt_snapshot(selection));
  std::vector<Remark> remarks = guest->remarks();
  return OpenedGuest{std::move(guest), Method::snapshot, std::move(remarks)};
}

bool another_may_do(const Error& error) {
  return error.code == Errc::denied || error.code == Errc::unsupported;
}

bool has_next(const Selection& selection, Method method) {
  return !selection.method && method != Method::snapshot &&
         std::any_of(row_of(method) + 1, std::end(kMethods),
                     [&](const MethodRow& next) { return next.fits(selection); });
}

Remark passed_over(Method method, const Error& why) {
  return {why.code, fmt::format("method {} is not used: {}", method_name(method), why.message),
          Severity::fact};
}

std::string_view method_name(Method method) {
  return method == Method::snapshot ? "snapshot" : row_of(method)->name;
}

std::optional<Method> method_from_name(std::string_view name) {
  const auto* const row = std::ranges::find(kMethods, name, &MethodRow::name);
  return row != std::end(kMethods) ? std::optional(row->method) : std::nullopt;
}

std::vector<std::string> method_names() {
  std::vector<std::string> names{"auto"};
  for (const MethodRow& row : kMethods) {
    names.emplace_back(row.name);
  }
  return names;
}

std::vector<Method> methods_for(const Selection& selection) {
  std::vector<Method> methods;
  for (const MethodRow& row : kMethods) {
    if (row.fits(selection)) {
      methods.push_back(row.method);
    }
  }
  return methods;
}

}  // namespace vmcore::acquire
