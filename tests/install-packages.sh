#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs the Debian packages that building, demonstrating or testing vmcorectl needs, where they
# are missing. Starts and enables no service.
#
#   tests/install-packages.sh build [guest] [test]
set -euo pipefail

declare -A packages=(
  [build]="cmake dpkg-dev g++ ninja-build pkg-config libarchive-dev libcli11-dev libcurl4-gnutls-dev libdebuginfod-dev libdeflate-dev
           libdw-dev libelf-dev libexpected-dev libfmt-dev liblzma-dev liblzo2-dev libpugixml-dev libseccomp-dev libsnappy-dev
           libsodium-dev libsystemd-dev
           libtomlplusplus-dev libvirt-dev libzstd-dev nlohmann-json3-dev python3 zlib1g-dev"
  [guest]="btrfs-progs ca-certificates debuginfod dosfstools dpkg e2fsprogs gcc libc6-dev libelf1 libssl3 libvirt-clients
           libvirt-daemon libvirt-daemon-driver-qemu make python3 qemu-system-x86 util-linux xfsprogs xz-utils"
  [test]="bpftool ccache clang-14 clang-format-14 debootstrap faketime git libclang-rt-14-dev libelf-dev libgmock-dev
          libgtest-dev liblzo2-2 libsnappy1v5 libzstd1 openssh-client openssh-server python3-jsonschema rpm lintian debhelper apparmor ansible-core"
)

wanted=()
for group in "$@"; do
  read -ra names <<< "$(echo ${packages[$group]})"
  wanted+=("${names[@]}")
done

missing=()
for name in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$name")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
echo "installing: ${missing[*]}"
# Services that a package would start stay down: this may be somebody's workstation.
policy=$(mktemp)
trap 'rm -f "$policy"' EXIT
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod +x "$policy"
own_policy=no
if [ ! -e /usr/sbin/policy-rc.d ]; then
  "${as_root[@]}" install -m 755 "$policy" /usr/sbin/policy-rc.d
  own_policy=yes
fi
status=0
"${as_root[@]}" apt-get update -q || status=$?
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}" || status=$?
[ $own_policy = no ] || "${as_root[@]}" rm -f /usr/sbin/policy-rc.d
# Nor does it come up with the next boot.
case " ${missing[*]} " in
  *" openssh-server "*)
    ! command -v systemctl > /dev/null || "${as_root[@]}" systemctl disable --quiet ssh.service || status=$? ;;
esac
exit $status
