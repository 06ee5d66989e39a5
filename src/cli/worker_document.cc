#include "src/cli/worker_document.h"

#include <stdexcept>

namespace vmcore::cli {

using Json = nlohmann::ordered_json;

Result<Json> read_document(std::string_view text) {
  const auto look = [](int depth, Json::parse_event_t, const Json&) {
    constexpr int kDeepest = 16;  // printing recurses
    if (depth > kDeepest) {
      throw std::length_error("it is nested too deeply");
    }
    return true;
  };
  try {
    Json document = Json::parse(text, look);
    if (document.is_object()) {
      return document;
    }
    return fail(Errc::malformed, "vmcore-worker's answer: it is no object");
  } catch (const std::exception& error) {
    constexpr std::size_t kMostQuoted = 200;  // it may quote all of the document
    return fail(Errc::malformed, "vmcore-worker's answer: {}",
                std::string_view(error.what()).substr(0, kMostQuoted));
  }
}

std::string document_text(const Json& document) {
  return document.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace vmcore::cli
