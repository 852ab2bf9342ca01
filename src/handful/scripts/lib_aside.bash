# The last instances here stop before new ones start (`recreate`): other machines that run the app take over first.

# step_aside ID...: the others are told, and once they know, nobody new comes to these instances.
step_aside() {
  local others asked deadline addresses
  [[ -e $fragment ]] && proxy_peers 2 | grep -q "^set server $stack\.$app\.peers/" || return 0
  mapfile -t addresses < <(addresses_of "$@")
  : >"$journal/aside"
  proxy_say admin "add map $leaving_there $stack.$app yes" >/dev/null
  # Each of them asks twice a second, and goes by two answers.
  others=$(reached from | wc -w) asked=$(refusals) deadline=$(($(now) + 250))
  until (($(refusals) >= asked + 2 * others || $(now) > deadline)); do sleep 0.05; done
  read_slots
  leave_slots "${addresses[@]}"
  deadline=$(($(now) + drain_timeout * 100))
  while busy "${addresses[@]}" && (($(now) < deadline)); do sleep 0.1; done
}

# How often the other machines were told that nobody here can answer.
refusals() {
  proxy_say admin "show stat" | awk -F, -v backend="$stack.$app.ready" '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i == "hrsp_5xx") column = i }
    $1 == backend && $2 == "BACKEND" { sum += $column } END { print sum + 0 }'
}

# come_back ADDRESS...: the others may send requests again; first those that had stepped aside serve again, if there are any.
# They have just been started: until a check has found them healthy, they are not.
come_back() {
  local address slot commands=()
  [[ -e $journal/aside ]] || return 0
  read_slots
  for address in "$@"; do
    find_slot "$address"
    [[ -z $slot ]] || commands+=("set server $stack.$app/$slot health down" "set server $stack.$app/$slot state ready")
  done
  if ((${#commands[@]})); then
    proxy_say admin "${commands[@]}" >/dev/null
    (wait_serving "$@") 3>/dev/null || true
  fi
  proxy_say admin "del map $leaving_there $stack.$app" >/dev/null || true
}
