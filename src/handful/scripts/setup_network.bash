# Makes the range of service addresses local, now and at each boot before Docker starts; and the kernel kind to proxies.
: "${range:?}"
# uses: prelude
folder=${HANDFUL_ETC:-/etc}
mkdir -p "$folder/sysctl.d" "$folder/systemd/system" "$root"
put "$folder/sysctl.d/60-handful.conf" <<<"# handful: the proxy may bind a private address that comes later.
net.ipv4.ip_nonlocal_bind = 1
# A connection that waits to be accepted goes to the proxy that takes over. Without it, the old one's end may cut it (tried, 85 times: 10 of 128,000).
# The minus: kernels before 5.14 do not know it.
-net.ipv4.tcp_migrate_req = 1"
put "$root/fronts.bash" <<'FRONTS'
# handful: packets to another machine's front (port 20000 and up) may come from that machine's fellows, not from containers here.
# Those are seen under their own addresses, before Docker gives them the machine's.
cd "$(dirname "$0")/stacks" 2>/dev/null || exit 0
{
  printf '%s\n' '*raw' ':HANDFUL-FRONTS - [0:0]'
  cat -- */reach/* 2>/dev/null | awk '$1 == "from" { for (i = 2; i <= NF; i++) print $i }' | sort -u | sed 's/.*/-A HANDFUL-FRONTS -s & -j RETURN/'
  cat -- */reach/* 2>/dev/null | awk '$1 == "peer" { print $3 }' | sort -u | sed 's/.*/-A HANDFUL-FRONTS -d & -j DROP/'
  echo COMMIT
} | iptables-restore --noflush --wait 10
iptables --wait 10 --table raw --check PREROUTING --protocol tcp --dport 20000:32767 --jump HANDFUL-FRONTS 2>/dev/null ||
  iptables --wait 10 --table raw --append PREROUTING --protocol tcp --dport 20000:32767 --jump HANDFUL-FRONTS
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
