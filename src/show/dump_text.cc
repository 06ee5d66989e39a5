// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/dump_text.h"

#include <fmt/format.h>

#include "src/base/printable.h"
#include "src/base/units.h"
#include "src/image/page.h"
#include "src/show/text_line.h"

namespace vmcore::show {

std::string dump_text(const report::DumpFile& dump) {
  const report::Summary& summary = dump.summary;
  std::string text;
  if (!summary.release.empty()) {
    text += fmt::format("kernel        {}\n", printable(summary.release));
  }
  text += fmt::format("memory        {}\n", human_size(summary.ram_pages * kPageSize));
  text += fmt::format("kept          {} ({} pages)\n",
                      human_size((summary.kept_pages - summary.lost_pages) * kPageSize),
                      summary.kept_pages - summary.lost_pages);
  for (const report::ClassCount& count : summary.classes) {
    if (count.pages != 0) {
      text += fmt::format("  {:<28}{:>12}\n", printable(count.title),
                          human_size(count.pages * kPageSize));
    }
  }
  text += summary.level_asked == summary.level_reached
              ? fmt::format("level         {}\n", summary.level_reached)
              : fmt::format("level         {} (asked {})\n", summary.level_reached,
                            summary.level_asked);
  if (!dump.size) {
    text += "nothing was written (--dry-run)\n";
  } else if (!dump.path.empty()) {
    text += fmt::format("written       {} ({}){}\n", printable(dump.path), human_size(*dump.size),
                        summary.incomplete ? ", incomplete" : "");
  }
  return text;
}

std::string self_check_text(const report::SelfCheck& check) {
  std::string text;
  for (const report::OpenedBy& each : check.programs) {
    line(text, "self-check",
         each.with + (each.outcome == "done" ? " opens it" : ": " + each.outcome) +
             (each.why.empty() ? "" : ": " + each.why));
  }
  return text;
}

}  // namespace vmcore::show
