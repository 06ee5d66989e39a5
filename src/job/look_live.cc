// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/look_live.h"

#include <vector>

namespace vmcore::job {

Result<ImageSource> look_live(acquire::Guest& guest) {
  TRY_ASSIGN(ImageSource source, guest.look());
  if (source.cpus.empty()) {
    source.cpus = guest.registers().value_or(std::vector<CpuState>());
  }
  return source;
}

}  // namespace vmcore::job
