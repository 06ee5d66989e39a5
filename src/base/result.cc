// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/result.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace vmcore {
namespace {

struct NamedCode {
  Errc code;
  std::string_view name;
};

constexpr std::array kNames{
    NamedCode{Errc::not_recognised, "not_recognised"},
    NamedCode{Errc::not_found, "not_found"},
    NamedCode{Errc::malformed, "malformed"},
    NamedCode{Errc::truncated, "truncated"},
    NamedCode{Errc::unreadable, "unreadable"},
    NamedCode{Errc::unsupported, "unsupported"},
    NamedCode{Errc::limit, "limit"},
    NamedCode{Errc::io, "io"},
    NamedCode{Errc::no_space, "no_space"},
    NamedCode{Errc::denied, "denied"},
    NamedCode{Errc::exists, "exists"},
    NamedCode{Errc::busy, "busy"},
    NamedCode{Errc::guest_state, "guest_state"},
    NamedCode{Errc::cancelled, "cancelled"},
    NamedCode{Errc::invalid, "invalid"},
};

Errc code_of_errno(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Errc::no_space;
    case EACCES:
    case EPERM:
      return Errc::denied;
    case EEXIST:
      return Errc::exists;
    case ENOENT:
      return Errc::not_found;
    default:
      return Errc::io;
  }
}

}  // namespace

std::string_view severity_name(Severity severity) {
  return severity == Severity::fact ? "fact" : "warning";
}

std::string_view remark_label(const Remark& remark) {
  return remark.severity == Severity::fact ? "note" : "warning";
}

std::string_view errc_name(Errc code) {
  for (const NamedCode& entry : kNames) {
    if (entry.code == code) {
      return entry.name;
    }
  }
  return "io";
}

Errc errc_from_name(std::string_view name) {
  for (const NamedCode& entry : kNames) {
    if (entry.name == name) {
      return entry.code;
    }
  }
  return Errc::io;
}

tl::unexpected<Error> fail_errno(int error_number, std::string_view what) {
  // "File too large" sounds as if the file system set the limit. Which it was cannot be asked: the
  // worker has no system call for that.
  const char* const why =
      error_number == EFBIG
          ? "the file is too large for the file system or for this process (ulimit -f)"
          : std::strerror(error_number);
  return fail(code_of_errno(error_number), "{}: {}", what, why);
}

tl::unexpected<Error> in_context(Error error, std::string_view context) {
  error.message.insert(0, fmt::format("{}: ", context));
  return tl::unexpected(std::move(error));
}

}  // namespace vmcore
