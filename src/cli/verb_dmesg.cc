#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/interrupt.h"

namespace vmcore::cli {
namespace {

int run(const GuestOptions& source, const Common& common) {
  job::Interrupt interrupt(kExitInterrupted);
  const job::PausedText read = read_source(source, sandbox::Operation::dmesg, interrupt);
  const Result<job::TextResult>& result = read.text;
  if (!result) {
    return report_pause(read, report_error(result.error(), common), common);
  }
  if (common.json) {
    nlohmann::ordered_json json{{"release", result->done.release},
                                {"incomplete", result->done.incomplete},
                                {"remarks", nlohmann::ordered_json::array()},
                                {"log", result->text}};
    for (const Remark& remark : result->done.remarks) {
      json["remarks"].push_back({{"code", errc_name(remark.code)}, {"text", remark.text}});
    }
    // In ASCII no control character but newlines is left.
    const auto text = json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace);
    fmt::print("{}\n", text);
  } else {
    const std::string text = printable_lines(result->text);
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (!common.quiet) {
      print_remarks(result->done.remarks);
    }
  }
  return report_pause(read, result->done.incomplete ? kExitNotAsAsked : kExitDone, common);
}

}  // namespace

Run add_dmesg(CLI::App& command, const Common& common) {
  const auto source = std::make_shared<GuestOptions>();
  add_source_options(command, *source);
  return [source, &common] { return run(*source, common); };
}

}  // namespace vmcore::cli
