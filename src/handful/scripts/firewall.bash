# What may begin from outside of this machine. `bash firewall.bash` puts it in force, `bash firewall.bash check` tells by its exit
# code whether it is. Each stack here has a file `open`: lines `ssh PORT`, `tcp PORT`, `udp PORT`, and `from ADDRESS` or, by WireGuard
# alone, `tunnel ADDRESS` (of machines, which may come to every port). The rules see a packet before Docker has turned a published
# port into a container's. Inside are this machine itself, bridges (of Docker and of virtual machines), and tunnels that let nobody
# in without a key; a bridge that leads to the world (file `uplinks`) is outside.
set -euo pipefail
cd "${HANDFUL_ROOT:-/var/lib/handful}"
# Whatever the stacks say: who is locked out cannot mend it. 68 and 546: answers of DHCP.
wanted=$({ cat stacks/*/open 2>/dev/null || true; printf '%s\n' 'ssh 22' 'udp 68' 'udp 546'; } | sort -u)
# Written down when the machine was prepared: at boot, these rules come before the network. The own tunnel has a rule of its own.
outside=$({ cat uplinks 2>/dev/null || true; echo handful; } | sort -u | sed 's/.*/"&"/' | paste -s -d ,)
listed() { awk -v kind="^($1)$" '$1 ~ kind && !seen[$2]++ { printf "%s%s", separator, $2; separator = ", " }' <<<"$wanted"; }
rules() {
  local machines inside=
  machines=$(listed tunnel)
  [[ -z $machines ]] || inside="iifname handful ip saddr { $machines } accept"
  machines=$(listed from)
  [[ -z $machines ]] || inside+="${inside:+; }ip saddr { $machines } accept"
  cat <<RULES
table inet handful
delete table inet handful
table inet handful {
	comment "$1"
	chain outside {
		type filter hook prerouting priority -150; policy accept;
		ct state established,related accept
		iifname "lo" accept
		iifname != { $outside } meta iifkind { "bridge", "tun", "wireguard" } accept
		$inside
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport { $(listed 'ssh|tcp') } accept
		udp dport { $(listed udp) } accept
		ct state new,untracked drop
	}
}
RULES
}
# The table carries a mark of the text that it was made from.
mark=$(rules '' | sha256sum | cut -c 1-16)
case ${1:-} in
  check) [[ $(nft list table inet handful 2>/dev/null) == *"comment \"$mark\""* ]] ;;
  *) rules "$mark" | nft --file - ;;
esac
