# Makes the range of service addresses local, now and at each boot before Docker starts; and the kernel kind to proxies.
: "${range:?}"
# uses: prelude
folder=${HANDFUL_ETC:-/etc}
mkdir -p "$folder/sysctl.d" "$folder/systemd/system" "$root"
put "$folder/sysctl.d/60-handful.conf" <<<"# handful: the proxy may bind a private address that comes later.
net.ipv4.ip_nonlocal_bind = 1
# A connection that waits to be accepted goes to the proxy that takes over. Without it, the old one's end may cut it (tried, 110 times: 10 of 128,000).
# The minus: kernels before 5.14 do not know it.
-net.ipv4.tcp_migrate_req = 1"
put "$root/fronts.bash" <<'FRONTS'
# handful: no container here may come to the front of an app on another machine, or ask there whether it is ready. Fronts trust the
# machines' own addresses, and Docker gives them to containers' packets; here these are seen before that. All else passes.
set -o pipefail
cd "$(dirname "$0")/stacks" 2>/dev/null || exit 0
{
  printf '%s\n' '*raw' ':HANDFUL-FRONTS - [0:0]'
  # What comes from the machines themselves is none of a container.
  cat -- */reach/* */reach/.[a-z]* 2>/dev/null | awk '
    $1 == "number" { number = $2 }
    $1 == "front" { machine[$2] }
    $1 == "from" { for (i = 2; i <= NF; i++) { machine[$i]; front[$i " --dport 20000"]; front[$i " --dport " 20000 + number] } }
    END {
      for (each in machine) print "-A HANDFUL-FRONTS -s " each " -j RETURN"
      for (each in front) print "-A HANDFUL-FRONTS -p tcp -d " each " -j DROP"
    }'
  echo COMMIT
} | iptables-restore --noflush --wait 10 || exit 1
iptables --wait 10 --table raw --check PREROUTING --protocol tcp --jump HANDFUL-FRONTS 2>/dev/null ||
  iptables --wait 10 --table raw --append PREROUTING --protocol tcp --jump HANDFUL-FRONTS
FRONTS
put "$folder/systemd/system/handful-network.service" <<UNIT
[Unit]
Description=handful: the service addresses $range are local
After=network-pre.target
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$(type -P ip) route replace local $range dev lo
ExecStart=/bin/bash $root/fronts.bash

[Install]
WantedBy=multi-user.target
UNIT
chmod 644 "$folder/sysctl.d/60-handful.conf" "$folder/systemd/system/handful-network.service"
sysctl --quiet --load "$folder/sysctl.d/60-handful.conf"
systemctl daemon-reload
systemctl --quiet enable handful-network.service
systemctl restart handful-network.service
event setup "service addresses $range are local"
