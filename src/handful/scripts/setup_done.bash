# Writes down which versions of the machine-wide parts are here, and what they look like: what is edited later is found by that.
: "${machine:?}"
# uses: prelude
{ cd "$root" && sha256sum -- fronts.bash proxy/edge.cfg proxy/conf/00-global.cfg 2>/dev/null || true; } | put "$root/checksums"
put "$root/machine.json" <<<"$machine"
