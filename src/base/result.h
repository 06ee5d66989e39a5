// SPDX-License-Identifier: GPL-2.0-or-later
// Result: the value or the Error of an operation that may fail for reasons outside this program.
//
// Libraries return Results and never log; each caller adds what it was doing in front of the
// message, so that a program prints one line, outermost context first:
//   "vm1.elf: note segment at 0x1548: length 7 GiB runs past the end of the file"
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace vmcore {

// Why something failed, as far as a caller may act on it. "Not mine" (not_recognised), "not there"
// (not_found) and "broken" (malformed, truncated, io) are never mixed up.
enum class Errc {
  not_recognised,  // the input is of another kind; another reader may understand it
  not_found,       // what was looked for is absent
  malformed,       // the input contradicts itself or its format
  truncated,       // the input ends before its headers say
  unreadable,      // a page or address that cannot be read or translated
  unsupported,     // understood, but not handled by this version
  limit,           // a size or count beyond what is accepted from a guest or a file
  io,              // a system call failed
  no_space,        // the target is full
  denied,          // permission refused
  exists,          // the target exists and may not be replaced
  busy,            // held by somebody else
  guest_state,     // the guest is not in the state that was expected
  cancelled,       // stopped on request
  invalid,         // the caller's request makes no sense
};

// The stable name of a code ("malformed"), used in messages to machines (JSON, worker protocol).
std::string_view errc_name(Errc code);
// The code of a name; Errc::io for a name that is not known.
Errc errc_from_name(std::string_view name);

struct Error {
  Errc code;
  std::string message;
};

template <class T = void>
using Result = tl::expected<T, Error>;

// What a Remark means to who reads it.
enum class Severity : std::uint8_t {
  fact,     // true of this result, and nothing to act on: "the firmware's flash is not in the dump"
  warning,  // a doubt, a repair, a switched-off filter: the result is not all that it could be
};
std::string_view severity_name(Severity severity);  // "fact"

// Part of a successful result, shown to the user.
struct Remark {
  Errc code;
  std::string text;
  Severity severity = Severity::warning;
};

// What stands in front of its text for people: "note" for a fact, "warning".
std::string_view remark_label(const Remark& remark);

template <class... Args>
tl::unexpected<Error> fail(Errc code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

// A failed system call: `what` in front of strerror(error_number). ENOSPC, EDQUOT, EACCES, EPERM,
// EEXIST and ENOENT get codes of their own, everything else is Errc::io.
tl::unexpected<Error> fail_errno(int error_number, std::string_view what);

// The same error with "context: " in front of its message.
tl::unexpected<Error> in_context(Error error, std::string_view context);

}  // namespace vmcore

#define VMCORE_CONCAT_INNER(a, b) a##b
#define VMCORE_CONCAT(a, b) VMCORE_CONCAT_INNER(a, b)

// Returns the error of `expression` (a Result) to the caller, else goes on.
#define TRY(expression)                                     \
  do {                                                      \
    if (auto try_result = (expression); !try_result) {      \
      return tl::unexpected(std::move(try_result).error()); \
    }                                                       \
  } while (false)

// Declares or assigns `target` from the value of `expression`, or returns its error.
#define TRY_ASSIGN(target, expression) \
  TRY_ASSIGN_INNER(VMCORE_CONCAT(try_result_, __LINE__), target, expression)
#define TRY_ASSIGN_INNER(name, target, expression)  \
  auto name = (expression);                         \
  if (!name) {                                      \
    return tl::unexpected(std::move(name).error()); \
  }                                                 \
  target = *std::move(name)
