// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/page_tables.h"

#include "src/kernel/arch/arch.h"

namespace vmcore::kernel {

Result<Mapping> PageTables::translate(VirtAddr address, std::vector<PhysAddr>* way) const {
  return arch_->translate(*this, address, way);
}

}  // namespace vmcore::kernel
