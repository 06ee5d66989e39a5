// SPDX-License-Identifier: GPL-2.0-or-later
// What the files of the reports share: values of their JSON, written and read.
//
// Documents are read strictly, because the worker that writes some of them has read hostile bytes:
// a member that is missing, has another type or is out of its bounds is a Misfit, which read()
// turns into Errc::malformed. Members that are not known are ignored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/report/bounds.h"

namespace vmcore::report {

// Its objects keep the order in which members were added.
using Json = nlohmann::ordered_json;

struct Misfit : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The members of an object that is not trusted. The getters throw a Misfit. The object is borrowed.
class Members {
 public:
  explicit Members(const Json& object);

  // Whether the member is there and not null.
  bool has(const char* key) const;

  std::uint64_t number(const char* key, std::uint64_t most = UINT64_MAX) const;
  std::int64_t signed_number(const char* key) const;
  double fraction(const char* key) const;
  bool flag(const char* key) const;
  // A byte that is no UTF-8 was written as three: a text may be three times as long as `most`.
  std::string text(const char* key, std::size_t most = kMaxText) const;
  std::uint64_t address(const char* key) const;  // "0x1000"
  Members object(const char* key) const;
  // An array, or an object, of at most so many entries.
  const Json& list(const char* key, std::size_t most) const;
  const Json& table(const char* key, std::size_t most) const;

  // Of members that may be missing.
  std::optional<std::uint64_t> maybe_number(const char* key) const;
  std::optional<std::uint64_t> maybe_address(const char* key) const;
  std::string text_or_empty(const char* key, std::size_t most = kMaxText) const;

 private:
  const Json& at(const char* key) const;
  const Json* object_;
};

// The beginning of a text that is longer than that.
std::string cut(std::string_view text, std::size_t most);
// "0x1000", as Members::address() reads it.
std::string hex(std::uint64_t value);
// Null for an empty text.
Json text_or_null(std::string_view text, std::size_t most);

// {"code": "malformed", "severity": "warning", "text": "..."}
Json remarks_json(const std::vector<Remark>& remarks);
std::vector<Remark> remarks_from(const Json& list);

// {"start": "0x0", "size": 4096}
Json ranges_json(const std::vector<PhysRange>& ranges);
std::vector<PhysRange> ranges_from(const Json& list);

// A document as it is printed: in ASCII, so that it holds no control character but newlines.
std::string document_text(const Json& document);

// Errc::malformed where the text is not JSON in UTF-8, or is nested deeper than any report.
Result<Json> parse_document(std::string_view text);

// What `build` makes of a document.
template <class Report, class Build>
Result<Report> read(std::string_view text, Build build) {
  TRY_ASSIGN(const Json document, parse_document(text));
  try {
    return build(document);
  } catch (const Misfit& misfit) {
    return fail(Errc::malformed, "the report: {}", misfit.what());
  }
}

// Whether the member "schema" names the schema, which is written as "NAME/VERSION". A report of
// another version is a Misfit: a version changes only where readers of the one before would go
// wrong; new members do not change it.
void expect_schema(const Members& document, std::string_view schema);

}  // namespace vmcore::report
