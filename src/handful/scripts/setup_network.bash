# Makes the range of service addresses local, now and at each boot before Docker starts; and the kernel kind to proxies.
: "${range:?}"
# uses: prelude
folder=${HANDFUL_ETC:-/etc}
mkdir -p "$folder/sysctl.d" "$folder/systemd/system"
put "$folder/sysctl.d/60-handful.conf" <<<"# handful: the proxy may bind a private address that comes later.
net.ipv4.ip_nonlocal_bind = 1
# A connection that waits to be accepted goes to the proxy that takes over. Without it, the old one's end may cut it (tried, 85 times: 10 of 128,000).
# The minus: kernels before 5.14 do not know it.
-net.ipv4.tcp_migrate_req = 1"
put "$folder/systemd/system/handful-network.service" <<UNIT
[Unit]
Description=handful: the service addresses $range are local
After=network-pre.target
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$(type -P ip) route replace local $range dev lo

[Install]
WantedBy=multi-user.target
UNIT
chmod 644 "$folder/sysctl.d/60-handful.conf" "$folder/systemd/system/handful-network.service"
sysctl --quiet --load "$folder/sysctl.d/60-handful.conf"
systemctl daemon-reload
systemctl --quiet enable handful-network.service
systemctl restart handful-network.service
event setup "service addresses $range are local"
