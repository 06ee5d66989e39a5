#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Tries vmcorectl with KVM, on guests of its own, and makes a report to send. vmcorectl was developed where there is no
# KVM, so whoever has a host with KVM helps with this one command. No guest of the host is touched, no service is
# configured; as root it takes about an hour. Root is not needed, but without root some parts are skipped.
# It needs Debian 12 or later, because the guests' kernels come from its archive. On another distribution run it in a
# container (not tried): podman run -it --privileged -v "$PWD:/src" -w /src debian:12 tests/kvm.sh
# Ctrl-C ends the part that runs, and makes the report of the parts so far.
#
#   tests/kvm.sh                    all parts
#   tests/kvm.sh --only times       one part; may be repeated (--list names them)
#   tests/kvm.sh --bin FOLDER       with the programs in FOLDER, built with -DVMCORECTL_TESTS=ON; else they are built
#   tests/kvm.sh --out FOLDER       where the report is written; default: the current folder
#   tests/kvm.sh --trials N         how often processes are killed, for each method; default: 10
#   tests/kvm.sh --tcg              without KVM: tries this script itself
#
# Exit status: 0 all passed (a part that cannot run here is told as skipped), 1 a part failed, 2 it was called wrongly.
set -euo pipefail
cd "$(dirname "$0")/.."

#      name       what it does                                              variables and script
parts=("boots|guests boot and are what they should be|test_rig.py 6.1-plain 6.12-plain"
       "direct|dumps by method direct: each kind of memory, NUMA, huge pages|test_dump_direct.py"
       "qmp|dumps by method qmp|test_dump_qmp.py"
       "libvirt|dumps of domains, by methods direct and libvirt|VMCORECTL_LIBVIRT=session test_dump_libvirt.py"
       "snapshot|dumps with --consistency snapshot|test_snapshot.py"
       "layouts|more NUMA nodes, huge pages of 1 GiB, plugged memory|VMCORECTL_LAYOUTS=guest test_layouts.py"
       "check|what check predicts, and what comes true|test_check.py"
       "kill|processes are killed in the pause: the guest runs again|VMCORECTL_KILL_TRIALS=\$trials test_kill.py"
       "times|how long guests wait, and how long dumps take|../bench/pause.py --runs 3")

fail() { echo "kvm.sh: $1" >&2; exit 2; }

accel=kvm bin='' out=$PWD trials=10 only=()
while [ $# -gt 0 ]; do
  case $1 in
    --tcg) accel=tcg ;;
    --list) printf '%s\n' "${parts[@]}" | awk -F'|' '{ printf "%-9s %s\n", $1, $2 }'; exit ;;
    --only | --bin | --out | --trials)
      [ $# -gt 1 ] || fail "$1 needs a value"
      case $1 in --only) only+=("$2") ;; --bin) bin=$2 ;; --out) out=$2 ;; --trials) trials=$2 ;; esac
      shift ;;
    -h | --help) sed -n '3,/^set/{/^set/!s/^# \?//p}' "$0"; exit ;;
    *) fail "unknown option $1 (--help)" ;;
  esac
  shift
done
for name in "${only[@]}"; do
  printf '%s\n' "${parts[@]}" | grep -q "^$name|" || fail "there is no part $name (--list)"
done
[[ $trials =~ ^[0-9]+$ ]] || fail "--trials needs a number"
[ -d "$out" ] || fail "$out is no folder"
if [ $accel = kvm ] && ! [ -r /dev/kvm -a -w /dev/kvm ]; then
  fail "/dev/kvm is not there, or this user may not open it (group kvm). To try the script without KVM: --tcg"
fi

command -v apt-get > /dev/null ||
  fail "this is no Debian: tests/kvm.sh --help says how it runs in a container"

if [ -z "$bin" ]; then
  tests/install-packages.sh build guest test
  cmake --preset release -DVMCORECTL_TESTS=ON
  cmake --build --preset release
  bin=build/release/bin
fi
bin=$(readlink -f "$bin")
[ -x "$bin/vmcorectl" ] || fail "$bin/vmcorectl is not there"
export VMCORECTL=$bin/vmcorectl VMCORE_GUEST=$bin/vmcore-guest SYMBOLS_OF=$bin/symbols_of
export WRONG_NUMBERS=$bin/wrong_numbers VMCORECTL_ACCEL=$accel

name=vmcorectl-kvm-report-$(date -u +%Y%m%dT%H%M%SZ)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
report=$work/$name
mkdir "$report"

# What the report says of the host: no names, no addresses.
value() { "$@" 2>/dev/null | head -1 || true; }
{
  echo "vmcorectl     $(value "$VMCORECTL" --version), $(value git rev-parse --short HEAD)"
  echo "accelerator   $accel$(grep -q hypervisor /proc/cpuinfo && echo ', in a guest (nested)' || true)"
  echo "processor     $(grep -c ^processor /proc/cpuinfo) x $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1)"
  echo "memory        $(sed -n 's/^MemTotal: *//p' /proc/meminfo), huge pages: $(sed -n 's/^HugePages_Total: *//p' /proc/meminfo)"
  echo "NUMA nodes    $(ls -d /sys/devices/system/node/node[0-9]* 2>/dev/null | wc -l)"
  echo "system        $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r)"
  echo "QEMU          $(value qemu-system-x86_64 --version)"
  echo "libvirt       $(value libvirtd --version)"
  echo "user          $([ "$(id -u)" = 0 ] && echo root || echo 'not root')"
  "$VMCORECTL" check -c test:///default 2>&1 || true
} | tee "$report/host.txt"

failed=0 interrupted=no
trap 'interrupted=yes' INT
for part in "${parts[@]}"; do
  IFS='|' read -r id what command <<< "$part"
  [ ${#only[@]} = 0 ] || [[ " ${only[*]} " = *" $id "* ]] || continue
  printf '\n==== %s: %s\n' "$id" "$what"
  begun=$SECONDS code=0
  words=() variables=()
  for word in ${command/'$trials'/$trials}; do
    case $word in
      *.py) words+=("tests/guests/$word") ;;
      VMCORECTL_*=*) variables+=("$word") ;;
      *) words+=("$word") ;;
    esac
  done
  [ "$id" != times ] || words+=(--vmcorectl "$VMCORECTL")
  env "${variables[@]}" /usr/bin/python3 "${words[@]}" 2>&1 | tee -i "$report/$id.txt" || code=${PIPESTATUS[0]}
  case $interrupted$code in
    yes*) result=interrupted failed=1 ;;
    no0) result=passed ;;
    no77) result="passed, parts skipped" ;;
    *) result=FAILED failed=1 ;;
  esac
  printf '%-9s %-22s %5s s   %s\n' "$id" "$result" $((SECONDS - begun)) "$what" >> "$report/summary.txt"
  [ $interrupted = no ] || break
done

sed -i "s|$HOME|~|g" "$report"/*.txt   # it names a user
printf '\n==== summary\n'
cat "$report/summary.txt"
tar -C "$work" -czf "$out/$name.tar.gz" "$name"
echo
echo "The report is $out/$name.tar.gz. Please read it, and send it to the project (CONTRIBUTING.md says where), also if all passed."
exit $failed
