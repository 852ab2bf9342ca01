# Takes from this machine what a stack has opened and joined here; what other stacks have stays.
: "${stack:?}"
# uses: prelude
lock_stack
lock_machine
for current in "$root/stacks/$stack"/apps/*/current; do
  [[ -L $current ]] || continue
  current=${current%/current}
  fail "$stack has ${current##*/} here" "" "Place its apps elsewhere, then: handful apply. Or take them away: handful remove APP"
done
rm -f "$root/stacks/$stack"/{open,peers,agent.json}
rest="volumes and history stay"
# Where nobody says any more what is open, the machine is as it was before: sshd may listen elsewhere.
if ! cat "$root"/stacks/*/open >/dev/null 2>&1; then
  [[ ! -e $root/firewall.bash ]] || systemctl --quiet disable handful-firewall.service
  nft delete table inet handful 2>/dev/null || true
  rm -f "$root/firewall.bash"
  rest+=". It was the last one: there is no firewall of handful's any more, and what Docker publishes is open"
fi
if [[ -e $root/firewall.bash ]]; then said=$(bash "$root/firewall.bash" 2>&1) || fail "the firewall could not be put in force" "$said" "Try there: bash $root/firewall.bash"; fi
if [[ -e $root/wireguard.bash ]]; then
  if cat "$root"/stacks/*/peers >/dev/null 2>&1; then
    said=$(bash "$root/wireguard.bash" 2>&1) || fail "the private network is not what it is to be" "$said" "Try there: bash $root/wireguard.bash"
  else
    systemctl --quiet disable handful-wireguard.service
    ip link delete handful 2>/dev/null || true
    rm -f "$root/wireguard.bash"
  fi
fi
event forgotten "$stack has nothing here any more; $rest"
