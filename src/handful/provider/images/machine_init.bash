#!/bin/bash
# Turns a container into a machine at each boot, then becomes its init.
set -euo pipefail

main() {
  pass_mounts_on
  make_cgroups_writable
  own_network_files
  make_host_key
  # systemd 256 and later refuse cgroup v1 without this word; on cgroup v2 it means nothing.
  exec /sbin/init SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
}

# systemd does so on a server, and not in a container: what is mounted or unmounted here is so in its containers as well.
pass_mounts_on() {
  mount --make-rshared /
}

# Without --privileged Docker mounts the machine's own cgroups read-only. A plain `remount,rw` does not undo it.
make_cgroups_writable() {
  local path
  while read -r _ path _; do
    case $path in
      /sys/fs/cgroup | /sys/fs/cgroup/*) mount -o remount,bind,rw "$path" ;;
    esac
  done </proc/self/mounts
}

# Docker binds files of its own over these, and what is bound cannot be renamed over, as on a server it can.
own_network_files() {
  local file content
  for file in /etc/hosts /etc/hostname /etc/resolv.conf; do
    mountpoint -q "$file" || continue
    content=$(<"$file")
    umount "$file"
    if first_boot; then printf '%s\n' "$content" >"$file"; fi
  done
}

make_host_key() {
  if first_boot; then ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key; fi
}

first_boot() {
  [[ ! -e /etc/ssh/ssh_host_ed25519_key ]]
}

main
