// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/driver_modules.h"

#include <gtest/gtest.h>

#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::image {
namespace {

TEST(DriverModules, OfTheDeviceAndAllThatItHangsOn) {
  const FolderRoot folder;
  const std::string pci = "/sys/devices/pci0000:00/0000:00:05.0";
  const std::string scsi = pci + "/virtio3/host0/target0:0:0/0:0:0:0";
  folder.write(scsi + "/block/sda/sda1/partition", "1");
  folder.link("/sys/class/block/sda1", "../../devices" + scsi.substr(12) + "/block/sda/sda1");
  for (const auto& [device, driver, module] :
       {std::tuple(scsi, "sd", "sd_mod"),
        std::tuple(pci + "/virtio3", "virtio_scsi", "virtio_scsi"),
        std::tuple(pci, "virtio-pci", "virtio_pci")}) {
    const std::string at = std::string("/sys/bus/drivers/") + driver;
    folder.link(device + "/driver", at);
    folder.link(at + "/module", std::string("/sys/module/") + module);
  }
  EXPECT_EQ(driver_modules(folder.root(), "/sys/class/block/sda1"),
            (std::vector<std::string>{"sd_mod", "virtio_scsi", "virtio_pci"}));
  EXPECT_TRUE(driver_modules(folder.root(), "/sys/class/block/sdb").empty());
}

}  // namespace
}  // namespace vmcore::guest::image
