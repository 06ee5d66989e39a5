#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A hook of vmcored: posts a line to a chat (Slack, Mattermost, and others with the same webhooks).
#
#   install -m 755 20-chat.sh /etc/vmcorectl/hooks.d/
#   (umask 077; echo 'url = "https://chat.example.org/hooks/SECRET"' > /etc/vmcorectl/chat.curl)
#
# Needs jq and curl. jq makes the JSON, so that no text of the guest's can leave its place in it. curl reads the URL from
# a file, because everybody can see the words of a command line. With hook-user, give the file to that user.
set -eu

jq -c --arg crash "$VMCORECTL_CRASH" '
  def one_line: (. // "") | tostring | gsub("[[:cntrl:]`<>@]"; " ") | .[0:200];
  .capture.guest as $guest |
  {text: "\($guest.name | one_line) on \($guest.host | one_line) crashed: `\(.signature.title | one_line)` (\($crash))"}' |
  curl --silent --show-error --fail --max-time 30 --config "${CHAT_CURL:-/etc/vmcorectl/chat.curl}" \
    --header 'Content-Type: application/json' --data-binary @- --output /dev/null
