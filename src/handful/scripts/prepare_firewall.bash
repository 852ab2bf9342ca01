# Writes down what a stack opens here, and puts the firewall of all stacks in force, now and at each boot.
: "${says:?}" "${stack:?}" "${open:?}" "${script:?}"
# uses: prelude
# `open`: see firewall.bash, whose text is `script`.
# Each stack here writes its own part, and puts all of them in force.
lock_machine
mkdir -p "$root/stacks/$stack"
chmod 711 "$root"
put "$root/firewall.bash" <<<"$script"
put "$root/stacks/$stack/open" <<<"$open"
# By which devices the world comes in.
{ ip -4 route show default; ip -6 route show default; } | sed -n 's/.* dev \([^ ]*\).*/\1/p' | sort -u | put "$root/uplinks"
said=$(bash "$root/firewall.bash" 2>&1) || fail "the firewall could not be put in force" "$said" "Try there: bash $root/firewall.bash"
put /etc/systemd/system/handful-firewall.service <<UNIT
[Unit]
Description=handful: what may begin from outside of this machine
DefaultDependencies=no
# That one begins by removing all rules, where the owner has it enabled.
After=local-fs.target nftables.service
Before=network-pre.target docker.service
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash $root/firewall.bash

[Install]
WantedBy=multi-user.target
UNIT
chmod 644 /etc/systemd/system/handful-firewall.service
systemctl daemon-reload
systemctl --quiet enable handful-firewall.service
event prepared "$says"
