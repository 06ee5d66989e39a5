#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A hook of vmcored: tells a Pacemaker cluster of guests that one of them has panicked, as the guest's own kdump would, so
# that the cluster need not wait for fencing (fence_kdump(8)).
#
#   install -m 755 30-fence-kdump.sh /etc/vmcorectl/hooks.d/
#   echo '7411 node1 node2' > /etc/vmcorectl/fence-kdump/GUEST    # the port of this guest, and the nodes to tell
#
# fence_kdump believes the address that a message comes from, and this one comes from the host. So give each guest a
# device of its own, with the host's name and that port:
#
#   pcs stonith create kdump-vm1 fence_kdump nodename=HOST ipport=7411 pcmk_host_list=vm1
#
# Needs jq, and fence_kdump_send of fence-agents.
set -eu
folder=${FENCE_KDUMP_FOLDER:-/etc/vmcorectl/fence-kdump}
send=${FENCE_KDUMP_SEND:-/usr/lib/fence-agents/fence_kdump_send}
[ -x "$send" ] || send=/usr/libexec/fence_kdump_send

manifest=$(cat)
# A dump of a guest that did not panic says nothing of the kind.
[ "$(printf '%s' "$manifest" | jq -r .reason)" = panic ] || exit 0
guest=$(printf '%s' "$manifest" | jq -r .capture.guest.name)
# A guest's name is no path.
case $guest in '' | .* | */*) exit 0 ;; esac
[ -f "$folder/$guest" ] || exit 0

read -r port nodes < "$folder/$guest"
# The words are host names that the administrator wrote.
# shellcheck disable=SC2086
exec "$send" --ipport "$port" --count 3 --interval 1 $nodes
