# Writes down which versions of the machine-wide parts are here, and what they look like: what is edited later is found by that.
: "${machine:?}"
# uses: prelude
sums=$(cd "$root" && sha256sum -- fronts.bash proxy/edge.cfg proxy/conf/00-global.cfg)
put "$root/checksums" <<<"$sums"
put "$root/machine.json" <<<"$machine"
