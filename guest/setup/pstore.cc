// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/pstore.h"

#include <algorithm>

#include "guest/setup/kernels.h"

namespace vmcore::guest::setup {
namespace {

// reserve_mem= and ramoops.mem_name= are of Linux 6.12: before, the address of the memory had to be
// chosen by hand. The memory is found again at the next boot because it is reserved at the same
// place then; QEMU's reset does not clear it.
const root::Words kMemory = {"reserve_mem=1M:4096:vmcore", "ramoops.mem_name=vmcore",
                             "ramoops.record_size=0x20000"};

bool has_reserve_mem(const root::Tree& tree) {
  const std::vector<std::string> releases = kernel_releases(tree);
  return !releases.empty() && std::ranges::all_of(releases, [](const std::string& release) {
    return is_at_least(release, 6, 12);
  });
}

Result<> load_at_boot(Plan& plan, const std::string& module) {
  return common_modules(plan.tree, {module}).empty()
             ? Result<>()  // built in
             : plan.tree.put_ours(std::string(kPstoreModules),
                                  root::file_node(fmt::format("{}\n{}\n", kOurMark, module)),
                                  "keeps the log of a crash without a capture kernel");
}

}  // namespace

Result<root::Words> add_pstore(Plan& plan) {
  const root::Root& root = plan.tree.root();
  if (root.exists("/sys/firmware/acpi/tables/ERST")) {  // its driver is built in
    plan.notes.emplace_back("pstore keeps the log of a crash in the machine's ERST");
    return root::Words();
  }
  if (root.exists("/sys/firmware/efi")) {
    plan.notes.emplace_back("pstore keeps the log of a crash in variables of UEFI");
    TRY(load_at_boot(plan, "efi_pstore"));
    return root::Words();
  }
  if (has_reserve_mem(plan.tree)) {
    plan.notes.emplace_back("pstore keeps the log of a crash in 1 MiB of memory");
    TRY(load_at_boot(plan, "ramoops"));
    return kMemory;
  }
  plan.by_hand.emplace_back(
      "--pstore: this machine has neither ERST nor UEFI, and a kernel older than Linux 6.12 is "
      "installed, which cannot reserve memory for the log: on the host, add a device acpi-erst to "
      "this guest, then run setup again");
  return root::Words();
}

}  // namespace vmcore::guest::setup
