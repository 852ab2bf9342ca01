# Writes down which versions of the machine-wide parts are here.
: "${machine:?}"
# uses: prelude
put "$root/machine.json" <<<"$machine"
