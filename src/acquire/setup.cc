#include "src/acquire/setup.h"

#include "src/acquire/libvirt_setup.h"
#include "src/acquire/qmp_setup.h"

namespace vmcore::acquire {

Result<GuestSetup> setup_of(const Selection& selection) {
  return selection.domain.empty() ? setup_of_monitor(selection) : setup_of_domain(selection);
}

}  // namespace vmcore::acquire
