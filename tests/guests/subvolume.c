// SPDX-License-Identifier: GPL-2.0-or-later
// subvolume PATH: makes a subvolume of btrfs, as `btrfs subvolume create` does.
#include <fcntl.h>
#include <libgen.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char** argv) {
  if (argc != 2) {
    return 2;
  }
  char above[4096], name[4096];
  snprintf(above, sizeof above, "%s", argv[1]);
  snprintf(name, sizeof name, "%s", argv[1]);
  struct btrfs_ioctl_vol_args arguments = {0};
  snprintf(arguments.name, sizeof arguments.name, "%.255s", basename(name));
  const int folder = open(dirname(above), O_RDONLY | O_DIRECTORY);
  if (folder < 0 || ioctl(folder, BTRFS_IOC_SUBVOL_CREATE, &arguments) != 0) {
    perror(argv[1]);
    return 1;
  }
  return 0;
}
