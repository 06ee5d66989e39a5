// What a worker says of a guest's memory: whatever it is, it is refused or can be drawn.
#include <cstdint>

#include "src/cli/memory_picture.h"
#include "src/cli/memory_report.h"
#include "tests/fuzz/change.h"

namespace {

const std::vector<std::string> kTexts = {
    R"({"release": "6.12.0", "torn": true, "incomplete": false, "memory": {"pages": 16},)"
    R"("free_zero": {"pages": 2}, "kept_at_31": {"pages": 9}, "excluded_before": {"pages": 1},)"
    R"("classes": [{"name": "kernel", "title": "kernel", "pages": 9},)"
    R"({"name": "free", "title": "free", "pages": 4}, {"name": "user", "title": "u", "pages": 3}],)"
    R"("map": {"bin_size": 32768, "bins": [{"start": "0x0", "pages": {"kernel": 8}},)"
    R"({"start": "0x8000", "pages": {"free": 1}, "free_zero": 1},)"
    R"({"start": "0x100000000", "pages": {"kernel": 1, "free": 4, "user": 3}, "free_zero": 2}]},)"
    R"("remarks": [{"code": "io", "text": "a remark"}]})"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  const std::string text = fuzz::changed_text(kTexts, std::as_bytes(std::span(data, size)));
  if (const auto report = cli::read_memory_report(text)) {
    static_cast<void>(cli::describe_memory(*report));
    static_cast<void>(cli::draw_memory(*report, {"guest", "now"}));
  }
  return 0;
}
