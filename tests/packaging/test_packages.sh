#!/bin/bash
# The packages hold what is needed, and the tarball runs wherever it is unpacked.
#   test_packages.sh BUILD_FOLDER
set -euo pipefail
build=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

(cd "$build" && cpack -G "DEB;RPM;TGZ" -B "$folder/packages" > "$folder/cpack.log" 2>&1) ||
  { cat "$folder/cpack.log"; exit 1; }

wanted="bin/vmcorectl libexec/vmcorectl/vmcore-worker share/man/man1/vmcorectl.1
        share/bash-completion/completions/vmcorectl"
missing() { echo "$1 has no $2"; exit 1; }
dpkg-deb -c "$folder"/packages/*.deb > "$folder/deb.list"
rpm -qlp "$folder"/packages/*.rpm > "$folder/rpm.list" 2> /dev/null
for name in $wanted; do
  grep -q "/usr/$name" "$folder/deb.list" || missing "the .deb" "$name"
  grep -q "/usr/$name" "$folder/rpm.list" || missing "the .rpm" "$name"
done
for library in libvirt0 libpugixml1; do
  dpkg-deb -f "$folder"/packages/*.deb Depends | grep -q $library || missing "the .deb" "dependency on $library"
done

mkdir "$folder/moved here"
tar -xzf "$folder"/packages/*.tar.gz -C "$folder/moved here" --strip-components 1
vmcorectl=$(find "$folder/moved here" -name vmcorectl -path '*/bin/*')
"$vmcorectl" --version
# An answer about the file, not about a worker that cannot be found.
printf 'no dump' > "$folder/file"
if "$vmcorectl" info "$folder/file" 2> "$folder/error"; then
  echo "info of a text file succeeded"
  exit 1
fi
grep -q "file:" "$folder/error" || { cat "$folder/error"; exit 1; }
! grep -q "vmcore-worker" "$folder/error" || { cat "$folder/error"; exit 1; }
echo "3 packages, $(wc -w <<< "$wanted") files each"
