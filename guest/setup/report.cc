#include "guest/setup/report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace vmcore::guest {

int report_error(const Error& error, const Common& common) {
  if (common.json) {
    const nlohmann::ordered_json json{
        {"error", {{"code", errc_name(error.code)}, {"text", error.message}}}};
    fmt::print("{}\n", json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace));
  }
  fmt::print(stderr, "vmcore-guest: {}\n", error.message);
  return kExitFailed;
}

int report(const Result<>& result, const Common& common) {
  return result ? kExitDone : report_error(result.error(), common);
}

void print_remarks(const std::vector<Remark>& remarks) {
  for (const Remark& remark : remarks) {
    fmt::print(stderr, "vmcore-guest: warning: {}\n", remark.text);
  }
}

}  // namespace vmcore::guest
