# Writes down that this machine is prepared, and by which handful.
: "${text:?}"
# uses: prelude
mkdir -p "$root"
chmod 711 "$root"
put "$root/prepared.json" <<<"$text"
