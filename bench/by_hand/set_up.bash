# On the machine, once, not measured: a network and a proxy with four slots, beside handful's own.
set -euo pipefail
mkdir -p /srv/by_hand
cd /srv/by_hand
docker inspect by-hand-proxy >/dev/null 2>&1 && exit 0
printf 0 >generation
docker network create by-hand >/dev/null
cat >haproxy.cfg <<'CFG'
global
  stats socket ipv4@127.0.0.1:9999 level admin
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
listen web
  bind :8080
  server s1 192.0.2.1:9 disabled
  server s2 192.0.2.1:9 disabled
  server s3 192.0.2.1:9 disabled
  server s4 192.0.2.1:9 disabled
CFG
image=$(docker images --format '{{.Repository}}:{{.Tag}}' handful/system/proxy | head -n 1)
docker run --detach --name by-hand-proxy --restart always --network host --user root --volume "$PWD/haproxy.cfg:/haproxy.cfg:ro" \
  --entrypoint haproxy "$image" -W -db -f /haproxy.cfg >/dev/null
until (exec 5<>/dev/tcp/127.0.0.1/9999) 2>/dev/null; do sleep 0.1; done
