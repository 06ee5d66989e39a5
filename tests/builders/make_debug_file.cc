// SPDX-License-Identifier: GPL-2.0-or-later
// make_debug_file KIND RELEASE OUT: what is found beside a kernel, for tests of the command line.
// KIND: vmlinux, stripped (a vmlinux without debug information), module, vmlinuz.
#include <cstdio>
#include <fstream>
#include <string>

#include "tests/builders/debug_elf.h"

namespace vmcore {
namespace {

std::string make(const std::string& kind, const std::string& release) {
  if (kind == "vmlinuz") {
    return builders::boot_image(release + " (somebody@somewhere) #1 SMP");
  }
  builders::DebugElf file;
  file.build_id = kind + "-" + release;
  file.debug_info = kind != "stripped";
  if (kind == "module") {
    file.type = ET_REL;
    file.modinfo = "vermagic=" + release + " SMP mod_unload" + '\0';
  } else {
    file.banner = "Linux version " + release + " (somebody@somewhere) #1 SMP";
  }
  return file.build();
}

}  // namespace
}  // namespace vmcore

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: make_debug_file KIND RELEASE OUT\n", stderr);
    return 2;
  }
  std::ofstream out(argv[3], std::ios::binary);
  out << vmcore::make(argv[1], argv[2]);
  return out.good() ? 0 : 1;
}
