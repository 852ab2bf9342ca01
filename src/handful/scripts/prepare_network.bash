# Makes this machine's part of the private network so, now and at each boot.
: "${says:?}" "${stack:?}" "${part:?}" "${script:?}"
# uses: prelude
# `part`: see wireguard.bash, whose text is `script`.
lock_machine
mkdir -p "$root/stacks/$stack"
before=$(content "$root/stacks/$stack/peers")
put "$root/wireguard.bash" <<<"$script"
put "$root/stacks/$stack/peers" <<<"$part"
put /etc/systemd/system/handful-wireguard.service <<UNIT
[Unit]
Description=handful: the private network of its machines
After=network-online.target
Wants=network-online.target
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
# A program in the kernel's place stays when this has ended.
ExecStart=/bin/bash $root/wireguard.bash
ExecReload=/bin/bash $root/wireguard.bash

[Install]
WantedBy=multi-user.target
UNIT
chmod 644 /etc/systemd/system/handful-wireguard.service
systemctl daemon-reload
systemctl --quiet enable handful-wireguard.service
if systemctl --quiet is-active handful-wireguard.service; then how=reload; else how=start; fi
systemctl "$how" handful-wireguard.service || {
  said=$(journalctl --unit handful-wireguard --lines 5 --no-pager --output cat 2>/dev/null || true)
  # Other stacks here stay joined as they were.
  if [[ -n $before ]]; then put "$root/stacks/$stack/peers" <<<"$before"; else rm -f "$root/stacks/$stack/peers"; fi
  systemctl "$how" handful-wireguard.service || true
  fail "the private network is not what it is to be" "$said" "It is as it was before. See: $root/stacks/*/peers"
}
event prepared "$says"
