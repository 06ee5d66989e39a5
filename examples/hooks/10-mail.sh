#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A hook of vmcored: mails what crashed to root on this host.
#
#   install -m 755 10-mail.sh /etc/vmcorectl/hooks.d/
#
# Needs jq, curl, and a mail server on port 25. It speaks SMTP, because a hook gets no new privileges: a sendmail that
# depends on its set-group-ID bit (Postfix's) refuses.
set -eu
to=${MAIL_TO:-root@localhost}
server=${MAIL_SERVER:-smtp://localhost}

# One line for each value: what the guest chose cannot begin a header of its own.
line() {
  printf '%s' "$manifest" | jq -r "($1) // \"\" | tostring" | tr -d '\000-\037\177' | cut -c 1-200
}

manifest=$(cat)
guest=$(line .capture.guest.name)
{
  printf 'From: vmcored <root@localhost>\nTo: <%s>\n' "$to"
  printf 'Subject: %s crashed: %s\n' "$guest" "$(line .signature.title)"
  printf 'Content-Type: text/plain; charset=utf-8\n\n'
  printf 'host    %s\nguest   %s (%s)\nreason  %s\n' "$(line .capture.guest.host)" "$guest" \
    "$(line .capture.guest.uuid)" "$(line .reason)"
  printf 'crash   %s\n\nvmcorectl info %s\nvmcorectl report %s\n' "$VMCORECTL_CRASH" "$VMCORECTL_CRASH" \
    "$VMCORECTL_CRASH"
} | curl --silent --show-error --max-time 30 --crlf --mail-from root@localhost --mail-rcpt "$to" --upload-file - "$server"
