#include "src/command/report_error.h"

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "src/command/exit_code.h"

namespace vmcore {
namespace {

// Control characters but those in `kept` as \xNN.
std::string escaped(std::string_view text, std::string_view kept) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F, control characters too, are C2 80 to C2 9F in UTF-8.
    const bool c1 = c == 0xc2 && i + 1 < text.size() &&
                    static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
                    static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if ((c < 0x20 || c == 0x7f || c1) && kept.find(text[i]) == std::string_view::npos) {
      out += fmt::format("\\x{:02x}", c);
      out += c1 ? fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i])) : "";
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

int report_error(const Error& error) {
  fmt::print(stderr, "{}: {}\n", program_invocation_short_name, printable(error.message));
  return error.code == Errc::cancelled ? kExitInterrupted : kExitFailed;
}

int report_error(const Error& error, const Common& common) {
  if (common.json) {
    const nlohmann::ordered_json json{
        {"error", {{"code", errc_name(error.code)}, {"text", error.message}}}};
    fmt::print("{}\n", json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace));
  }
  return report_error(error);
}

std::string printable(std::string_view text) { return escaped(text, ""); }

std::string printable_lines(std::string_view text) { return escaped(text, "\n\t"); }

}  // namespace vmcore
