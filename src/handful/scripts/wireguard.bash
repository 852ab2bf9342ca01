# Joins this machine with the others of its stacks, by WireGuard. What is missing comes, what is too much goes, and no other
# connection notices. Each stack has a file `peers`: a line `address ADDRESS/LENGTH`, and lines `peer KEY HOST:PORT ADDRESS`.
set -euo pipefail
cd "${HANDFUL_ROOT:-/var/lib/handful}"
device=handful
# Of a machine that was made anew, at the address of before, the stack that has looked last knows the key.
wanted=$(find stacks -mindepth 2 -maxdepth 2 -name peers -printf '%T@ %p\n' 2>/dev/null | sort -rn | cut -d ' ' -f 2- |
  while read -r file; do cat "$file"; done |
  awk '$1 == "peer" { at = $3 " " $4; if (at in key && key[at] != $2) next; key[at] = $2 } !seen[$0]++' | sort)
# Nobody's packets may go to another's machine: then nothing is changed.
twice=$(awk '$1 == "peer" { print $4, $2 }' <<<"$wanted" | sort -u | cut -d ' ' -f 1 | uniq -d | tr '\n' ' ')
[[ -z $twice ]] || { echo "two stacks have other machines at ${twice}" >&2 && exit 1; }
# The kernel's, or a program in its place: that needs the device tun, which not every container has.
if ! ip link show "$device" >/dev/null 2>&1 && ! ip link add "$device" type wireguard 2>/dev/null; then
  [[ -e /dev/net/tun ]] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }
  wireguard-go "$device" >/dev/null 2>&1
  # It returns before it answers; whoever asks too early is hung up on.
  for _ in {1..100}; do if wg show "$device" peers >/dev/null 2>&1; then break; fi; sleep 0.1; done
fi
wg set "$device" listen-port 51820 private-key wireguard.key
while read -r key; do
  grep -qF -- "peer $key " <<<"$wanted" || wg set "$device" peer "$key" remove
done < <(wg show "$device" peers)
# KEY HOST:PORT ADDRESS,ADDRESS: two stacks may know a machine by different addresses of it.
peers() {
  awk '$1 == "peer" { host[$2] = $3; seen = "," list[$2] ","; if (!index(seen, "," $4 "/32,")) list[$2] = list[$2] (list[$2] == "" ? "" : ",") $4 "/32" }
    END { for (key in host) print key, host[key], list[key] }' <<<"$wanted"
}
failed=
while read -r key host addresses; do
  # A name that cannot be resolved now is no reason to leave out the others.
  [[ -z $key ]] || wg set "$device" peer "$key" endpoint "$host" allowed-ips "$addresses" persistent-keepalive 25 || failed+=" $host"
done < <(peers)
while read -r kind address _; do
  [[ $kind != address ]] || ip address replace "$address" dev "$device"
done <<<"$wanted"
while read -r address; do
  grep -qxF -- "address $address" <<<"$wanted" || ip address delete "$address" dev "$device"
done < <(ip -4 -o address show dev "$device" | awk '{ print $4 }')
ip link set "$device" mtu 1420 up
[[ -z $failed ]] || { echo "not reached:$failed" >&2 && exit 1; }
