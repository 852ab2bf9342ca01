# The running proxy: what it is told of one app's slots and routes, and how it reads its files anew.

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

# join_slots ADDRESS...: new instances get their slots in the running proxy. Returns when it counts on each of them.
join_slots() {
  local address slot follower following commands=()
  (($#)) || return 0
  mapfile -t following < <(followers)
  for address in "$@"; do
    find_slot "$address"
    # Only from maintenance does a slot come back as up; from a drain it would keep the health of the last one in it (tried).
    # It comes back one failed check from down, and a check of the address before may still be under way (seen): `health up`
    # asks for as many failures as at any other time.
    commands+=("set server $stack.$app/$slot state maint" "set server $stack.$app/$slot addr $address port $port")
    # What follows a slot follows its state, not its address.
    for follower in "${following[@]}"; do commands+=("set server $follower/$slot addr $address port $port"); done
    commands+=("set server $stack.$app/$slot state ready" "set server $stack.$app/$slot health up")
  done
  proxy_say admin "${commands[@]}" >/dev/null
  wait_serving "$@"
}

# rejoin_slots ADDRESS...: as join_slots, of instances that have their slots already. They may be the only ones that serve:
# the shortest maintenance between two commands would be a failed request (seen).
rejoin_slots() {
  local address slot commands=()
  for address in "$@"; do
    find_slot "$address"
    slot=$stack.$app/$slot
    commands+=("set server $slot state ready" "set server $slot health up")
  done
  proxy_say admin "${commands[@]}" >/dev/null
  wait_serving "$@"
}

# leave_slots ADDRESS...: nobody new is sent to them. Those that have no slot any more are passed over.
# A cookie's user is sent to a slot that drains, and to none in maintenance, where open requests go on as well.
leave_slots() {
  local address slot commands=() state=drain
  ! grep -qs '^  use-server s' "$fragment" || state=maint
  for address in "$@"; do
    find_slot "$address"
    [[ -z $slot ]] || commands+=("set server $stack.$app/$slot state $state")
  done
  ((${#commands[@]} == 0)) || proxy_say admin "${commands[@]}" >/dev/null
}

# only_in_need ADDRESS...: whether the running proxy takes one of their slots for one to be used when all others are down: it
# does so since a reload with an instance that left just then, and cannot be told otherwise. Beside other machines that is a fault.
only_in_need() {
  local address slot slots=' '
  [[ -e $reach && -e $fragment ]] || return 1
  for address in "$@"; do find_slot "$address" && slots+="$slot "; done
  proxy_say admin "show stat" | awk -F, -v backend="$stack.$app" -v slots="$slots" '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i == "bck") column = i }
    $1 == backend && index(slots, " " $2 " ") && $column == 1 { found = 1 } END { exit !found }'
}

# Columns of `show servers state`: be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state …
# Operational state 2 is up. Admin state 4 only remembers that the slot was free when the proxy started.
wait_serving() {
  local address slot told deadline joined=()
  for address in "$@"; do find_slot "$address" && joined+=("$slot=$address"); done
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
  done | awk -F, -v backends=" $stack.$app $stack.$app.once $stack.$app.here $stack.$app.here.once " -v wanted="$wanted" \
    'index(backends, " " $1 " ") && index(wanted, " " $2 " ") { sum += $5 } END { print sum + 0 }'
}

# Process ids of the proxy's workers, old ones too.
workers() { proxy_say master "show proc" | awk '$2 == "worker" { print $1 }'; }

# The route of each domain: HOST/PATH/ → stack.app. `map_beg` takes the longest that fits. A machine that is no edge has none.
wanted_routes() {
  local domain
  [[ $(reached edge) != no ]] || return 0
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
    owner=$(owner_of "$key")
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
# owner_of KEY: the stack.app that a route leads to.
owner_of() { [[ ! -e $routes ]] || awk -v key="$1" '$1 == key { print $2 }' "$routes"; }
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

# claim_routes KEY...: they lead to this app, on disk, where nobody of this stack has them: who has one keeps it while he wants it.
claim_routes() {
  local key owner
  for key in "$@"; do
    owner=$(owner_of "$key")
    [[ -n $owner ]] || { printf '%s %s\n' "$key" "$stack.$app" >>"$routes" && continue; }
    [[ $owner == "$stack".* ]] || fail "$key already leads to $owner on this machine" "" "Take the domain from one of the two."
  done
}

# drop_routes HOW KEY...: this app's routes go, but for those; to another app of the stack, when that waits for it.
drop_routes() {
  local how=$1 key stale kept claimant commands=() handed=''
  shift
  mapfile -t stale < <(stale_routes "$@")
  ((${#stale[@]})) || return 0
  kept=$(awk -v me="$stack.$app" -v stale=" ${stale[*]} " '$2 != me || !index(stale, " " $1 " ")' "$routes")
  for key in "${stale[@]}"; do
    claimant=$(grep -slxF -- "route $key" "${reach%/*}"/* | grep -vxF "${reach%/*}/$app" | head -n 1 || true)
    if [[ -n $claimant ]]; then
      handed+="$key $stack.${claimant##*/}"$'\n'
      commands+=("set map $routes_there $key $stack.${claimant##*/}")
    else
      commands+=("del map $routes_there $key")
    fi
  done
  { [[ -z $kept ]] || printf '%s\n' "$kept"; printf '%s' "$handed"; } | put "$routes"
  [[ $how != runtime ]] || proxy_say admin "${commands[@]}" >/dev/null
}

# set_maintenance PAGE: users get that page (base64) at the edges here, or the app again (empty). The machine's lock must be held.
set_maintenance() {
  local map=$conf/maintenance.map there=/etc/haproxy/conf/maintenance.map kept said
  [[ -d $conf ]] || return 0
  [[ -n $1 || -n $(awk -v me="$stack.$app" '$1 == me' "$map" 2>/dev/null) ]] || return 0
  kept=$(awk -v me="$stack.$app" '$1 != me' "$map" 2>/dev/null || true)
  { [[ -z $kept ]] || printf '%s\n' "$kept"; [[ -z $1 ]] || printf '%s %s\n' "$stack.$app" "$1"; } | put "$map"
  # Without a route there is no edge yet; the reload that brings it reads the map.
  [[ -s $conf/routes.map || -e $conf/10-edge.cfg ]] || return 0
  said=$(proxy_say admin "del map $there $stack.$app")
  [[ -z $1 ]] || said=$(proxy_say admin "add map $there $stack.$app $1")
  # Done, it says nothing; that there was no such key is no trouble.
  [[ -z $1 || -z ${said//[[:space:]]/} ]] || fail "the proxy did not take the page of $app" "$said" "Bring the machine's parts up to date: handful apply"
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
    find_slot "$address"
    [[ ${slot_mode[${slot:-none}]:-} != backup ]] || commands+=("set server $stack.$app/$slot state maint")
  done
  ((${#commands[@]} == 0)) || proxy_say admin "${commands[@]}" >/dev/null
}

# Takes the app's routes away, and its fragment, unless it is reached on other machines: an edge keeps its routes then.
drop_traffic() { ! has_traffic || { write_no_traffic && reload_proxy; }; }
has_traffic() { [[ -e $fragment || -e $reach || -n $(present_routes) ]]; }
write_no_traffic() {
  local keys
  if [[ -e $reach ]]; then write_elsewhere; else rm -f "$fragment"; fi
  mapfile -t keys < <(reached route)
  drop_routes disk "${keys[@]}"
  claim_routes "${keys[@]}"
  write_edge
}

# reload_mended FRAGMENT ROUTES: as reload_proxy, after something was mended. What the proxy would refuse with these earlier texts
# as well, another broken file keeps from being read: the mended one stays, and who mends the last of them has all of them read.
reload_mended() {
  if ! proxy_refuses; then
    take_over
  elif refused_before "$@"; then
    : >"$root/proxy/unread"
    event mended "the proxy reads the files of $app once another one, which it refuses, is right too" app "$app"
  else
    reload_proxy
  fi
}
# check_proxy: what the proxy says of its files as they are on disk.
check_proxy() { docker exec handful-proxy haproxy -c -f /etc/haproxy/conf 2>&1; }
proxy_refuses() { ! check_proxy >/dev/null; }
refused_before() {
  local fragment_now routes_now refused=''
  fragment_now=$(content "$fragment") routes_now=$(content "$routes")
  restore_traffic "$1" "$2"
  ! proxy_refuses || refused=yes
  restore_traffic "$fragment_now" "$routes_now"
  [[ -n $refused ]]
}

# reload_proxy: checks the files first, then waits until a new worker has taken over.
reload_proxy() {
  local said
  said=$(check_proxy) ||
    fail "the proxy refuses its new configuration" "$said" "The old one still serves."
  take_over
}
take_over() {
  local told before newest deadline up unknown
  before=$(newest_worker)
  up=$(proxy_peers 2)
  # No `docker kill`: Docker restarts no container after a crash that it was asked to send a signal to (tried, 20.10).
  # It answers when the new worker runs, or with Success=0 (3.x); 2.6 hangs up.
  told=$(proxy_say master reload 2>/dev/null || true)
  deadline=$(($(now) + 1000))
  until newest=$(newest_worker) && [[ -n $newest && $newest != "$before" ]] && listening; do
    [[ $told != Success=0* ]] && (($(now) < deadline)) ||
      fail "the proxy could not take its new configuration" "$(docker logs --tail 10 handful-proxy 2>&1 >/dev/null)" "The old one still serves."
    sleep 0.05
  done
  # A server that is checked begins as up: those that were not, and those that are new, must first show themselves.
  mapfile -t unknown < <(comm -23 <(proxy_peers '') <(printf '%s\n' "$up"))
  ((${#unknown[@]} == 0)) || proxy_say admin "${unknown[@]/%/ health down}" >/dev/null
  rm -f "$root/proxy/unread"
}

# proxy_peers STATE: the servers that stand for other machines, those in that operational state (nothing: all), sorted.
proxy_peers() {
  [[ -e $conf/20-ready.cfg ]] || return 0
  proxy_say admin "show servers state" 2>/dev/null |
    awk -v state="$1" '$2 ~ /\.peers$/ && (state == "" || $6 == state) { print "set server " $2 "/" $4 }' | sort || true
}

newest_worker() { proxy_say master "show proc" 2>/dev/null | awk '$2 == "worker" { print $1; exit }' || true; }

# True when the running proxy knows this app, or there is nothing to know.
listening() {
  [[ ! -e $fragment ]] || proxy_say admin "show servers state $stack.$app" 2>/dev/null | grep -q '^# be_id '
}

proxy_up() { proxy_say admin "show info" >/dev/null 2>&1 && [[ -n $(newest_worker) ]]; }
