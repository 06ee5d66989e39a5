#include "src/acquire/setup.h"

#include "src/acquire/libvirt_setup.h"
#include "src/acquire/qmp_setup.h"

namespace vmcore::acquire {

Result<GuestSetup> setup_of(const Selection& selection) {
  return selection.domain.empty() ? setup_of_monitor(selection) : setup_of_domain(selection);
}

Result<> check_encryption(const std::string& encryption) {
  if (encryption.empty()) {
    return {};
  }
  return fail(Errc::unsupported,
              "the guest's memory is encrypted ({}): the host sees only what the processor "
              "encrypted. Use kdump in the guest",
              encryption);
}

}  // namespace vmcore::acquire
