# The proxy's side of one app: its fragment (on disk) and its slots (in the running proxy).
# A fragment's servers are slots: in use (`server s1 10.211.0.5:8000`), leaving or arriving (`backup`), or free (`disabled`).

# Where things of one app are; call it first, with stack and app set.
# shellcheck disable=SC2034  # the other parts read journal
app_paths() {
  conf=$root/proxy/conf
  routes=$conf/routes.map
  routes_there=/etc/haproxy/conf/routes.map
  fragment=$conf/50-$stack.$app.cfg
  app_folder=$root/stacks/$stack/apps/$app
  # Of a switch that is under way; who finds one finishes it or takes it back.
  journal=$app_folder/deploying
}

# proxy_say SOCKET COMMAND...: what the running proxy answers, over its unix socket.
# The master answers only once the asking side has closed its half (tried, 3.0).
# AF_UNIX and SOCK_STREAM are 1 on Linux: without a module Perl starts in a seventh of the time (10 ms for 74: tried).
# shellcheck disable=SC2016  # the dollars are Perl's
proxy_say() {
  perl -e '
    alarm 5;
    my ($path, $proxy) = (shift);
    socket($proxy, 1, 1, 0) && connect($proxy, pack("Sa*x", 1, $path)) or die "the proxy does not answer: $!\n";
    syswrite($proxy, join("; ", @ARGV) . "\n");
    shutdown($proxy, 1);
    print while <$proxy>;
  ' "${proxy_run:-$root/proxy/run}/$1.sock" "${@:2}"
}

# Fills the arrays slot_address and slot_mode from the fragment.
read_slots() {
  local line
  declare -gA slot_address=() slot_mode=()
  [[ -e $fragment ]] || return 0
  while read -r line; do
    [[ $line =~ ^server\ (s[0-9]+)\ ([0-9.]+):[0-9]+(\ (backup|disabled))?$ ]] || continue
    slot_address[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
    slot_mode[${BASH_REMATCH[1]}]=${BASH_REMATCH[4]:-active}
  done <"$fragment"
}

# Puts addresses $2… into slots and gives these the mode $1; an address that has a slot keeps it.
give_slots() {
  local mode=$1 address slot number
  shift
  for address in "$@"; do
    for slot in "${!slot_address[@]}"; do
      [[ ${slot_address[$slot]} != "$address" || ${slot_mode[$slot]} == disabled ]] || { slot_mode[$slot]=$mode; continue 2; }
    done
    for ((number = 1; ; number++)); do
      slot=s$number
      [[ ${slot_mode[$slot]:-disabled} == disabled ]] || continue
      slot_address[$slot]=$address slot_mode[$slot]=$mode
      break
    done
  done
}

slot_of() {
  local slot
  for slot in "${!slot_address[@]}"; do
    [[ ${slot_address[$slot]} != "$1" || ${slot_mode[$slot]} == disabled ]] || printf '%s' "$slot"
  done
}

# The fragment without its servers: what cannot be changed without a reload.
frame() {
  local number
  number=$(content "$app_folder/number")
  know_subnet
  printf '%s\n' "# $app of $stack: its service address, and its instances on this machine." \
    "frontend $stack.$app" "  bind 10.210.$((number / 256)).$((number % 256)):$port" \
    "  # Only this stack's containers and the machine itself." \
    "  tcp-request connection reject unless { src 127.0.0.0/8 10.210.0.0/16 $subnet }" \
    "$(sed -n 's/^frontend /  /p' "$folder/proxy.cfg")" \
    "  default_backend $stack.$app" "" "backend $stack.$app" "$(sed -n 's/^backend /  /p' "$folder/proxy.cfg")"
}

# slots COUNT: the servers' lines, COUNT of them at least.
slots() {
  local number slot mode
  for ((number = 1; number <= $1 || number <= ${#slot_mode[@]}; number++)); do
    slot=s$number
    mode=${slot_mode[$slot]:-disabled}
    case $mode in
      active) printf '  server %s %s:%s\n' "$slot" "${slot_address[$slot]}" "$port" ;;
      backup) printf '  server %s %s:%s backup\n' "$slot" "${slot_address[$slot]}" "$port" ;;
      *) printf '  server %s 192.0.2.1:9 disabled\n' "$slot" ;;
    esac
  done
}

# The machine's lock must be held by whoever writes here.
write_fragment() {
  local text
  text=$(frame && slots "$1") && printf '%s\n' "$text" | put "$fragment"
}

count_slots() { [[ ! -e $fragment ]] && printf 0 || grep -c '^  server ' "$fragment"; }

# True when the running proxy cannot take the change at runtime.
needs_reload() {
  [[ -e $fragment ]] || return 0
  (($(count_slots) >= $1)) || return 0
  [[ $(grep -v '^  server ' "$fragment") != "$(frame)" ]]
}

# join_slots ADDRESS...: new instances get their slots in the running proxy. Returns when it counts on each of them.
join_slots() {
  local address slot commands=()
  for address in "$@"; do
    slot=$stack.$app/$(slot_of "$address")
    # Only from maintenance does a slot come back as up; from a drain it would keep the health of the last one in it (tried).
    # It comes back one failed check from down, and a check of the address before may still be under way (seen): `health up`
    # asks for as many failures as at any other time.
    commands+=("set server $slot state maint" "set server $slot addr $address port $port" "set server $slot state ready"
      "set server $slot health up")
  done
  proxy_say admin "${commands[@]}" >/dev/null
  wait_serving "$@"
}

# rejoin_slots ADDRESS...: as join_slots, of instances that have their slots already. They may be the only ones that serve:
# the shortest maintenance between two commands would be a failed request (seen).
rejoin_slots() {
  local address slot commands=()
  for address in "$@"; do
    slot=$stack.$app/$(slot_of "$address")
    commands+=("set server $slot state ready" "set server $slot health up")
  done
  proxy_say admin "${commands[@]}" >/dev/null
  wait_serving "$@"
}

# leave_slots ADDRESS...: nobody new is sent to them. Those that have no slot any more are passed over.
leave_slots() {
  local address slot commands=()
  for address in "$@"; do
    slot=$(slot_of "$address")
    [[ -z $slot ]] || commands+=("set server $stack.$app/$slot state drain")
  done
  ((${#commands[@]} == 0)) || proxy_say admin "${commands[@]}" >/dev/null
}

# Columns of `show servers state`: be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state …
# Operational state 2 is up. Admin state 4 only remembers that the slot was free when the proxy started.
wait_serving() {
  local address told deadline joined=()
  for address in "$@"; do joined+=("$(slot_of "$address")=$address"); done
  deadline=$(($(now) + 500))
  until told=$(proxy_say admin "show servers state $stack.$app") &&
    awk -v joined="${joined[*]}" '$6 == 2 && ($7 == 0 || $7 == 4) { up[$4 "=" $5] }
      END { count = split(joined, each, " "); while (count) if (!(each[count--] in up)) exit 1 }' <<<"$told"; do
    (($(now) < deadline)) || fail "the proxy did not take $* for $app" "$told" "$(still)"
    sleep 0.02
  done
}

# Connections that slots $@ still carry, summed over all workers: after a reload the old one goes on serving.
connections() {
  local pid wanted=" $* "
  for pid in $(workers); do
    proxy_say master "@!$pid show stat" || true
  done | awk -F, -v backend="$stack.$app" -v wanted="$wanted" \
    '$1 == backend && index(wanted, " " $2 " ") { sum += $5 } END { print sum + 0 }'
}

# Process ids of the proxy's workers, old ones too.
workers() { proxy_say master "show proc" | awk '$2 == "worker" { print $1 }'; }

# The route of each domain: HOST/PATH/ → stack.app. `map_beg` takes the longest that fits.
wanted_routes() {
  local domain
  for domain in "${domains[@]}"; do printf '%s%s\n' "$domain" "${path%/}/"; done
}

# set_routes HOW KEY...: they lead to this app, on disk and, when HOW is `runtime`, in the running proxy.
# A key may have been another app's of this stack, which gives it up in the same deploy.
set_routes() {
  local how=$1 key owner kept commands=()
  shift
  (($#)) || return 0
  [[ -e $routes ]] || : | put "$routes"
  for key in "$@"; do
    owner=$(awk -v key="$key" '$1 == key { print $2 }' "$routes")
    case $owner in
      "$stack.$app") ;;
      '') commands+=("add map $routes_there $key $stack.$app") ;;
      "$stack".*)
        printf '%s %s\n' "$key" "$owner" >>"$journal/taken"
        commands+=("set map $routes_there $key $stack.$app")
        ;;
      *) fail "$key already leads to $owner on this machine" "" "Take the domain from one of the two." ;;
    esac
  done
  ((${#commands[@]})) || return 0
  kept=$(awk -v keys=" $* " '!index(keys, " " $1 " ")' "$routes")
  { [[ -z $kept ]] || printf '%s\n' "$kept"; for key in "$@"; do printf '%s %s\n' "$key" "$stack.$app"; done; } | put "$routes"
  [[ $how != runtime ]] || proxy_say admin "${commands[@]}" >/dev/null
}
present_routes() { [[ ! -e $routes ]] || awk -v me="$stack.$app" '$2 == me { print $1 }' "$routes"; }
# stale_routes KEY...: this app's routes other than those.
stale_routes() { present_routes | grep -vxF "$(printf '%s\n' "$@")" || true; }

# give_back_routes HOW: those that this app took from others of its stack, while it has them still.
give_back_routes() {
  local key owner
  while read -r key owner; do
    grep -qxF -- "$key $stack.$app" "$routes" || continue
    awk -v key="$key" -v owner="$owner" '$1 == key { $2 = owner } { print }' "$routes" | put "$routes"
    [[ $1 != runtime ]] || proxy_say admin "set map $routes_there $key $owner" >/dev/null
  done < <(content "$journal/taken"; echo)
}

# drop_routes HOW KEY...: this app's routes go, but for those.
drop_routes() {
  local how=$1 key stale kept commands=()
  shift
  mapfile -t stale < <(stale_routes "$@")
  ((${#stale[@]})) || return 0
  kept=$(awk -v me="$stack.$app" -v stale=" ${stale[*]} " '$2 != me || !index(stale, " " $1 " ")' "$routes")
  for key in "${stale[@]}"; do commands+=("del map $routes_there $key"); done
  { [[ -z $kept ]] || printf '%s\n' "$kept"; } | put "$routes"
  [[ $how != runtime ]] || proxy_say admin "${commands[@]}" >/dev/null
}

# The edge listens only while there is a route.
edge_is_right() { [[ -s $routes && -e $conf/10-edge.cfg ]] || [[ ! -s $routes && ! -e $conf/10-edge.cfg ]]; }
write_edge() {
  if [[ -s $routes ]]; then put "$conf/10-edge.cfg" <"$root/proxy/edge.cfg"; else rm -f "$conf/10-edge.cfg"; fi
}

# rest_slots ADDRESS...: the proxy neither uses nor checks them any more. It must happen while they still answer: a check that
# hangs tells of its failure when the slot has another address (seen). Theirs are the slots that another has not got by now,
# and that do not serve again. The machine's lock must be held.
rest_slots() {
  local address slot commands=()
  read_slots
  for address in "$@"; do
    slot=$(slot_of "$address")
    [[ ${slot_mode[${slot:-none}]:-} != backup ]] || commands+=("set server $stack.$app/$slot state maint")
  done
  ((${#commands[@]} == 0)) || proxy_say admin "${commands[@]}" >/dev/null
}

# free_on_disk MODES ADDRESS...: their slots are free from now on, where the mode (backup, or nothing for one in use) is among
# the regular expression's. The rest of the fragment stays, whichever release wrote it.
free_on_disk() {
  [[ -e $fragment ]] || return 0
  awk -v modes="$1" -v gone=" ${*:2} " '{ split($3, at, ":")
    if ($1 == "server" && $4 ~ modes && index(gone, " " at[1] " ")) print "  server " $2 " 192.0.2.1:9 disabled"; else print }' "$fragment" | put "$fragment"
}

# Takes the app's fragment and routes away.
drop_traffic() {
  [[ -e $fragment || -n $(present_routes) ]] || return 0
  rm -f "$fragment"
  drop_routes disk
  write_edge
  reload_proxy
}

# reload_proxy: checks the files first, then waits until a new worker has taken over.
reload_proxy() {
  local said told before newest deadline
  said=$(docker exec handful-proxy haproxy -c -f /etc/haproxy/conf 2>&1) ||
    fail "the proxy refuses its new configuration" "$said" "The old one still serves."
  before=$(newest_worker)
  # No `docker kill`: Docker restarts no container after a crash that it was asked to send a signal to (tried, 20.10).
  # It answers when the new worker runs, or with Success=0 (3.x); 2.6 hangs up.
  told=$(proxy_say master reload 2>/dev/null || true)
  deadline=$(($(now) + 1000))
  until newest=$(newest_worker) && [[ -n $newest && $newest != "$before" ]] && listening; do
    [[ $told != Success=0* ]] && (($(now) < deadline)) ||
      fail "the proxy could not take its new configuration" "$(docker logs --tail 10 handful-proxy 2>&1)" "The old one still serves."
    sleep 0.05
  done
}

newest_worker() { proxy_say master "show proc" 2>/dev/null | awk '$2 == "worker" { print $1; exit }' || true; }

# True when the running proxy knows this app, or there is nothing to know.
listening() {
  [[ ! -e $fragment ]] || proxy_say admin "show servers state $stack.$app" 2>/dev/null | grep -q "^[0-9]* $stack\\.$app "
}

proxy_up() { proxy_say admin "show info" >/dev/null 2>&1 && [[ -n $(newest_worker) ]]; }
