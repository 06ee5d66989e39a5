#include "src/job/guest_report.h"

namespace vmcore::job {

Result<GuestReport> look_at(acquire::Guest& guest) {
  GuestReport report;
  report.name = guest.name();
  report.handle = guest.handle();
  TRY(guest.check_readable());
  TRY(guest.check_idle());
  TRY_ASSIGN(report.remarks, guest.mend());
  TRY_ASSIGN(report.before, guest.state());
  TRY_ASSIGN(report.memory_size, guest.memory_size());
  return report;
}

}  // namespace vmcore::job
