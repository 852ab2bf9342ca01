# On the machine: what runs there, which images there are, what the proxy knows; asked side by side.
set -euo pipefail
docker version --format '{{.Server.Version}}' &
docker images --no-trunc &
docker ps --all --quiet | xargs docker inspect &
ss -Hltnp &
ip -4 -o address show
df --output=size,avail / /var/lib/docker
wait
