// There is one slot for a capture kernel. Who else fills it at boot, as far as it is enabled.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "guest/root/tree.h"

namespace vmcore::guest::kexec {

struct OtherKdump {
  enum class Kind { kdump_tools, kdumpctl, other };
  Kind kind = Kind::other;
  std::string unit;                // "kdump-tools.service"; of OpenRC "kdump"
  std::vector<std::string> links;  // that enable it
};

// The crashkernel= that the package kdump-tools brings: a conffile, which its purge removes
// (kdump-tools 1:1.8.1).
inline constexpr const char* kKdumpToolsReservation = "/etc/default/grub.d/kdump-tools.cfg";

// Errc::io and the like where the answer cannot be known.
Result<std::optional<OtherKdump>> find_other_kdump(const root::Tree& tree);
Result<std::optional<OtherKdump>> find_other_kdump(const root::Root& root);

// The refusal that names it.
Error slot_is_taken(const OtherKdump& other);

}  // namespace vmcore::guest::kexec
