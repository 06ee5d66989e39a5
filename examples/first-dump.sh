#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# From a fresh Debian 12 machine to a first small vmcore: installs what is needed, builds vmcorectl,
# starts a throw-away guest, crashes it, dumps it by QMP, then another one through libvirt, has a third send its
# own dump, and lets vmcored keep the crash of a fourth.
#
# Downloads (a Debian kernel) are kept in ~/.cache/vmcorectl. Nothing else stays behind: the dumps go
# to a folder that is named at the end. No system service is started or configured.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/install-packages.sh build guest
cmake --preset release -DVMCORECTL_TESTS=OFF
cmake --build --preset release
exec /usr/bin/python3 examples/first_dump.py --bin build/release/bin "$@"
