# Runs the name server: APP.STACK.internal for containers, from one hosts file per stack; all else goes to the machine's own resolvers.
: "${image:?}" "${address:?}"
# uses: prelude
mkdir -p "$root/names"
chmod 711 "$root"
chmod 755 "$root/names"
if [[ $(docker inspect --format '{{.Config.Image}} {{.State.Running}}' handful-names 2>/dev/null || true) == "$image true" ]]; then exit 0; fi
docker rm --force handful-names >/dev/null 2>&1 || true
docker run --detach --name handful-names --restart always --network host --label handful.part=names \
  --log-driver json-file --log-opt max-size=20m --log-opt max-file=5 --log-opt compress=false --memory 64m --volume "$root/names:/names:ro" "$image" \
  dnsmasq --keep-in-foreground --log-facility=- --no-hosts --hostsdir=/names --local=/internal/ \
  --listen-address="$address" --bind-interfaces --cache-size=1000 >/dev/null
event setup "the name server answers on $address"
