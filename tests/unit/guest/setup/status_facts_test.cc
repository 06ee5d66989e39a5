#include "guest/setup/status_facts.h"

#include <gtest/gtest.h>

#include "guest/config/gzip.h"
#include "tests/unit/guest/setup/folder_root.h"

namespace vmcore::guest {
namespace {

TEST(StatusFacts, TheKernelItselfTellsItsConfiguration) {
  const FolderRoot folder;
  EXPECT_EQ(read_status(folder.root()).config, "");
  folder.write("/lib/modules/" + running_release() + "/config", "CONFIG_INSTALLED=y\n");
  EXPECT_EQ(read_status(folder.root()).config, "CONFIG_INSTALLED=y\n");
  folder.write("/proc/config.gz", *gzip("CONFIG_PROC_VMCORE=y\n"));
  EXPECT_EQ(read_status(folder.root()).config, "CONFIG_PROC_VMCORE=y\n");
  folder.write("/proc/config.gz", "\x1f\x8b no gzip");
  EXPECT_EQ(read_status(folder.root()).config, "CONFIG_INSTALLED=y\n");
}

}  // namespace
}  // namespace vmcore::guest
