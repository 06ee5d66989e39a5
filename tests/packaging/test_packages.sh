#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The packages hold what is needed, and the tarball runs wherever it is unpacked.
#   test_packages.sh BUILD_FOLDER
set -euo pipefail
build=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

(cd "$build" && cpack -G "DEB;RPM;TGZ" -B "$folder/packages" > "$folder/cpack.log" 2>&1) ||
  { cat "$folder/cpack.log"; exit 1; }
packages=("$folder"/packages/*.{deb,rpm,tar.gz})
[ ${#packages[@]} -eq 5 ] || { echo "not two .deb, two .rpm and a tarball:" "${packages[@]}"; exit 1; }

declare -A wanted=(
  [vmcorectl]="bin/vmcorectl libexec/vmcorectl/vmcore-worker libexec/vmcorectl/vmcore-holder share/vmcorectl/schema/info.json
               share/bash-completion/completions/vmcorectl share/doc/vmcorectl/third-party-notices.md share/doc/vmcorectl/vmcorectl.spdx.json
               share/doc/vmcorectl/changelog.gz share/man/man1/vmcorectl.1.gz
               sbin/vmcored share/man/man8/vmcored.8 share/bash-completion/completions/vmcored
               lib/systemd/system/vmcored.service lib/systemd/system/vmcored-give-back.service
               lib/systemd/system-preset/90-vmcored.preset lib/sysusers.d/vmcorectl.conf lib/tmpfiles.d/vmcorectl.conf
               share/doc/vmcorectl/automatic.md share/doc/vmcorectl/copyright share/doc/vmcorectl/examples/automatic/qemu.sh share/doc/vmcorectl/examples/hooks/10-mail.sh share/doc/vmcorectl/examples/sos/vmcorectl.py
               share/doc/vmcorectl/examples/apparmor/vmcored share/doc/vmcorectl/examples/ansible/site.yml share/doc/vmcorectl/examples/analysis/first-look.crash
               share/man/man5/vmcored.conf.5"
  [vmcore-guest]="sbin/vmcore-guest share/man/man8/vmcore-guest.8
                  share/bash-completion/completions/vmcore-guest share/doc/vmcore-guest/third-party-notices.md share/doc/vmcore-guest/vmcore-guest.spdx.json"
)
wanted[vmcore-guest]+=" libexec/vmcore-guest/vmcore-guest-init"
missing() { echo "$1 has no $2"; exit 1; }
for package in "${!wanted[@]}"; do
  dpkg-deb -c "$folder"/packages/"$package"[_-][0-9]*.deb > "$folder/$package.deb.list"
  rpm -qlp "$folder"/packages/"$package"-[0-9]*.rpm > "$folder/$package.rpm.list" 2> /dev/null
  for name in ${wanted[$package]}; do
    for kind in deb rpm; do
      grep -q "/usr/$name" "$folder/$package.$kind.list" || missing "$package.$kind" "$name"
    done
  done
done
! grep -q "vmcore-guest" "$folder"/vmcorectl.*.list || { echo "vmcorectl has files of vmcore-guest"; exit 1; }
for library in libvirt0 libpugixml1 libarchive13 libdebuginfod1 libdw1; do
  dpkg-deb -f "$folder"/packages/vmcorectl_*.deb Depends | grep -q $library || missing "vmcorectl.deb" "dependency on $library"
done
# The service is enabled by nobody, and its configuration is the administrator's.
for kind in deb rpm; do
  grep -q "/etc/vmcorectl/vmcored.conf" "$folder/vmcorectl.$kind.list" || missing "vmcorectl.$kind" vmcored.conf
  ! grep -q "multi-user.target.wants" "$folder/vmcorectl.$kind.list" || { echo "vmcorectl.$kind enables vmcored"; exit 1; }
done
dpkg-deb -I "$folder"/packages/vmcorectl_*.deb conffiles | grep -qx /etc/vmcorectl/vmcored.conf ||
  missing "vmcorectl.deb" "conffile vmcored.conf"
rpm -qpc "$folder"/packages/vmcorectl-[0-9]*.rpm 2> /dev/null | grep -qx /etc/vmcorectl/vmcored.conf ||
  missing "vmcorectl.rpm" "configuration vmcored.conf"
mkdir "$folder/deb"
dpkg-deb -R "$folder"/packages/vmcorectl_*.deb "$folder/deb"
if command -v systemd-analyze > /dev/null; then
  # What every system has.
  mkdir -p "$folder"/deb/bin "$folder"/deb/usr/lib/systemd/system
  install -m 755 /bin/true "$folder/deb/bin/kill"
  for target in sysinit basic shutdown multi-user; do
    printf '[Unit]\nDescription=%s\n' "$target" > "$folder/deb/usr/lib/systemd/system/$target.target"
  done
  systemd-analyze verify --root="$folder/deb" --man=no vmcored.service vmcored-give-back.service 2>&1 |
    { ! grep -E "vmcored[a-z-]*\.service" ; } || { echo "the units are not right"; exit 1; }
fi
# Of one script for each moment: guests are given back before the program goes, crashes stay.
rpm -qp --scripts "$folder"/packages/vmcorectl-[0-9]*.rpm 2> /dev/null > "$folder/scripts"
for script in "try-restart vmcored.service" "vmcored --give-back"; do
  grep -q "$script" "$folder/scripts" || missing "vmcorectl.rpm" "script with $script"
  grep -q "$script" "$folder"/deb/DEBIAN/p* || missing "vmcorectl.deb" "script with $script"
done

# Purging: in a root of its own, where nothing else is.
purge() {
  unshare -rm sh -c 'for folder in /var/lib /etc /run; do mount -t tmpfs none $folder; done && mkdir -p "$@" /var/lib/vmcored /etc/vmcorectl/conf.d &&
    "$0" purge && ls -A /var/lib /etc /run' "$folder/deb/DEBIAN/postrm" "$@"
}
if unshare -rm mount -t tmpfs none /var/lib 2> /dev/null; then
  purge /var/lib/vmcorectl/20261129T214500Z-host1-vm1-000017 > "$folder/purged"
  grep -q "stay in /var/lib/vmcorectl" "$folder/purged" || { echo "purge does not say where crashes are"; exit 1; }
  grep -qx vmcorectl "$folder/purged" || { echo "purge removes crashes"; exit 1; }
  purge /var/lib/vmcorectl > "$folder/purged"
  ! grep -q vmcor "$folder/purged" || { cat "$folder/purged"; echo "purge leaves something"; exit 1; }
else
  echo "SKIPPED: purging (no mount namespaces here)"
fi

# What setup did is taken back before the program goes.
dpkg-deb -I "$folder"/packages/vmcore-guest_*.deb prerm | grep -q "vmcore-guest remove" || missing "vmcore-guest.deb" prerm
dpkg-deb -I "$folder"/packages/vmcore-guest_*.deb postinst | grep -q "vmcore-guest status" || missing "vmcore-guest.deb" postinst
rpm -qp --scripts "$folder"/packages/vmcore-guest-*.rpm 2> /dev/null > "$folder/scripts"
for script in "vmcore-guest status" "vmcore-guest remove"; do
  grep -q "$script" "$folder/scripts" || missing "vmcore-guest.rpm" "script with $script"
done
! dpkg-deb -f "$folder"/packages/vmcore-guest_*.deb Depends | grep -q . || { echo "vmcore-guest depends on something"; exit 1; }

mkdir "$folder/moved here"
tar -xzf "$folder"/packages/*.tar.gz -C "$folder/moved here" --strip-components 1
vmcorectl=$(find "$folder/moved here" -name vmcorectl -path '*/bin/*')
"$vmcorectl" --version
"$(find "$folder/moved here" -name vmcore-guest -path '*/sbin/*')" --version
# An answer about the file, not about a worker that cannot be found.
printf 'no dump' > "$folder/file"
if "$vmcorectl" info "$folder/file" 2> "$folder/error"; then
  echo "info of a text file succeeded"
  exit 1
fi
grep -q "file:" "$folder/error" || { cat "$folder/error"; exit 1; }
! grep -q "vmcore-worker" "$folder/error" || { cat "$folder/error"; exit 1; }
echo "5 packages, $(wc -w <<< "${wanted[*]}") files"
