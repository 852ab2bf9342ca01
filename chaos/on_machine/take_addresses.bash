# Gives each address for instances that is free to a container that does not run.
: "${stack:?}"
network=handful-$stack
image=$(docker ps --filter "label=handful.stack=$stack" --format '{{.Image}}' | head -n 1)
base=$(docker network inspect --format '{{(index .IPAM.Config 0).Subnet}}' "$network" | cut -d. -f1-3)
taken=" $(docker network inspect --format '{{range .Containers}}{{.IPv4Address}} {{end}}' "$network") "
for number in $(seq 2 191); do [[ $taken == *" $base.$number/"* ]] || echo "$base.$number"; done |
  xargs -P 4 -I ADDRESS docker create --network "$network" --ip ADDRESS --label chaos=1 "$image" >/dev/null
