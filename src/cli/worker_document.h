// A JSON document of the worker's, which has read hostile bytes: nothing of it is printed as it
// came.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::cli {

// Errc::malformed where the text is not one JSON object in UTF-8, or is nested deeper than any
// document of ours.
Result<nlohmann::ordered_json> read_document(std::string_view text);

// As it is printed: in ASCII, so that no control character but newlines is left.
std::string document_text(const nlohmann::ordered_json& document);

}  // namespace vmcore::cli
