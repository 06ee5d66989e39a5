#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's source package of HEAD: lintian accepts it and what is built of it, and two builds, in different folders, time zones
# and umasks, give equal packages: .deb, .rpm and tarball.
#   test_source_package.sh SOURCE_FOLDER [LINTIAN_OPTION...]
set -euo pipefail
source=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
version=$(dpkg-parsechangelog -l "$source/debian/changelog" -S Version)
upstream=${version%-*}

# build FOLDER COMMAND...: all packages, by `COMMAND... dpkg-buildpackage`.
build() {
  local place=$1 tree="$1/vmcorectl-$upstream"
  shift
  mkdir -p "$place"
  git -C "$source" archive --prefix="vmcorectl-$upstream/" HEAD | tar -x -C "$place"
  git -C "$source" archive --prefix="vmcorectl-$upstream/" HEAD ':!debian' | gzip -n > "$place/vmcorectl_$upstream.orig.tar.gz"
  (cd "$tree" && "$@" dpkg-buildpackage --no-sign > ../build.log 2>&1) || { tail -40 "$place/build.log"; return 1; }
  (cd "$tree"/obj-* && SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l ../debian/changelog -S Timestamp) "$@" cpack -G "RPM;TGZ" -B "$place/cpack") \
    > "$place/cpack.log" 2>&1 || { tail -40 "$place/cpack.log"; return 1; }
  mv "$place"/cpack/*.{rpm,tar.gz} "$place"
}

build "$folder/first" env
# Not of .changes: a maintainer without an address cannot be overridden there.
lintian --fail-on error,warning --tag-display-limit 0 "$@" "$folder"/first/*.dsc "$folder"/first/*.deb
(umask 077 && build "$folder/the second, elsewhere" env TZ=Asia/Tokyo LC_ALL=C.UTF-8)

(cd "$folder/first" && sha256sum -- *.deb *.dsc *.rpm *.tar.*) | tee "$folder/sums"
(cd "$folder/the second, elsewhere" && sha256sum --check --quiet "$folder/sums")
echo "two builds are equal: $(wc -l < "$folder/sums") files"
