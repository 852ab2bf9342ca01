# Makes this machine's key for WireGuard; it never leaves it.
: "${says:?}"
# uses: prelude
[[ -s $root/wireguard.key ]] || { mkdir -p "$root" && chmod 711 "$root" && wg genkey | put "$root/wireguard.key"; }
event prepared "$says"
