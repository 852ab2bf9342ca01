#!/bin/sh
# Serves a registry for as long as stdin is open: whoever started it may be killed, and nothing stays behind.
# The first line of stdin is the one line of its htpasswd file. The official image has no bash.
# Called as: registry.sh MEGABYTES, the most that may be kept from one run to the next.
set -eu
umask 077
most=$1
read -r user
folder=$(mktemp -d)
printf '%s\n' "$user" >"$folder/htpasswd"
cat >"$folder/config.yml" <<CONFIG
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /var/lib/registry}, cache: {blobdescriptor: inmemory}}
http: {addr: ":5000"}
auth: {htpasswd: {realm: handful, path: $folder/htpasswd}}
CONFIG
# What is kept is a copy of what the engine has: without it, layers are packed once more. Nothing goes while another one serves it.
exec 9>/var/lib/registry/lock
if flock -n -x 9; then
  kept=$(du -sm /var/lib/registry | cut -f 1)
  [ "$kept" -le "$most" ] || rm -rf /var/lib/registry/docker
fi
flock -s 9
# The official image calls it registry, Debian's package docker-registry.
program=$(command -v registry || command -v docker-registry)
"$program" serve "$folder/config.yml" &
cat >/dev/null
kill $!
