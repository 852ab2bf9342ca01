# The proxy's files of one app: its fragment, with slots for the instances here, and the way to those on other machines.
# Slots are in use (`server s1 10.211.0.5:8000`), leaving or arriving (`backup`), or free (`disabled`).
# A machine that shares an app with others has a file `reach/APP` of its stack, as a deploy writes it: lines
#   number N · port P · front ADDRESS (this machine's private one) · from ADDRESS… (who may come to it) ·
#   peer NAME ADDRESS WEIGHT (another machine that runs it) · here NAME (this one, for cookies) · edge no (no routes here) ·
#   route HOST/PATH/ (leads to it although it does not run here) · frontend, backend and the other lines of proxy.cfg
# proxy.cfg, of a release: frontend … and backend … are lines of these sections, `bind …` is said of the front, `peers …` of
#   each other machine, and `sticky COOKIE` keeps a user on an instance.

# Where things of one app are; call it first, with stack and app set.
# shellcheck disable=SC2034  # the other parts read them
app_paths() {
  conf=$root/proxy/conf
  routes=$conf/routes.map
  routes_there=/etc/haproxy/conf/routes.map
  leaving_there=/etc/haproxy/conf/leaving.map
  fragment=$conf/50-$stack.$app.cfg
  app_folder=$root/stacks/$stack/apps/$app
  reach=$root/stacks/$stack/reach/$app
  # Of a switch that is under way; who finds one finishes it or takes it back.
  journal=$app_folder/deploying
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

# find_slot ADDRESS: sets `slot` to the slot of an address, or to nothing.
find_slot() {
  local each
  slot=
  for each in "${!slot_address[@]}"; do
    [[ ${slot_address[$each]} != "$1" || ${slot_mode[$each]} == disabled ]] || slot=$each
  done
}

# reached KEY: what the lines of `reach` that begin with KEY say.
reached() { [[ ! -e $reach ]] || sed -n "s/^$1 //p" "$reach"; }

# The lines of the app itself, for a frontend or a backend; `lines` has those of proxy.cfg.
part() { sed -n "s/^$1 /  /p" <<<"$lines"; }
# option KIND: the words of another line of proxy.cfg, with a blank before them.
option() { sed -n "s/^$1 / /p" <<<"$lines"; }

# What is told of each request, for the numbers of a deploy (lib_measure); a front's are the other machine's.
log_line() {
  if is_tcp; then
    printf '  log-format "%%[date(0,ms)] %%b %%ts %%rc - - - -"'
  else
    printf '  log-format "%%[date(0,ms)] %%b %%tsc %%rc %%ST %%Tw %%Tc %%Tr"'
  fi
}

# fragment_text COUNT: the whole fragment with so many slots at least; without slots there is no front, so that who tries it is
# refused and asks somebody else. Needs number, port and lines.
fragment_text() {
  local front subnet
  front=$(reached front)
  # An edge has no instance, and no network, of the stack.
  subnet=$(content "$root/stacks/$stack/subnet")
  printf '%s\n' "# $app of $stack: its service address, and its instances${front:+ here and on other machines}." \
    "frontend $stack.$app" "  bind 10.210.$((number / 256)).$((number % 256)):$port" \
    "  # Only this stack's containers and the machine itself." \
    "  tcp-request connection reject unless { src 127.0.0.0/8 10.210.0.0/16 $subnet }" "$(part frontend)" "$(log_line)"
  ways "$stack.$app" "$1" "$front"
  [[ -z $front ]] || peers_text
  [[ -z $front || -n ${elsewhere:-} ]] || front_text "$1"
}

# ways NAME COUNT PEERS: where a frontend leads, as its last lines, and the backends themselves: NAME, with the other machines if PEERS
# says anything, and NAME.once for requests that must not be sent twice. These never go over a connection that was idle: the
# instance may be closing it at that moment, and nobody could say whether it has done what was asked (seen: 1 POST of a million).
ways() {
  if is_tcp; then
    printf '%s\n' "  default_backend $1"
    backend_text "$@"
  else
    printf '%s\n' "  use_backend $1.once if !{ method GET HEAD OPTIONS }" "  default_backend $1"
    backend_text "$@"
    backend_text "$1.once" "${@:2}"
  fi
}
is_tcp() { [[ $lines == *'frontend mode tcp'* ]]; }

# backend_text NAME COUNT PEERS: all but the app's own backend follow its slots: their health and state, not their address.
backend_text() {
  local track=''
  [[ $1 == "$stack.$app" ]] || track=" no-check track $stack.$app/"
  printf '%s\n' '' "backend $1" "$(part backend)"
  [[ $1 != *.once ]] || printf '%s\n' '  option http-server-close'
  sticky "$2" "${3:+$(reached peer)}"
  [[ -z $3 ]] || peers
  slots "$2" "$track"
}
# followers: the backends whose slots follow those of the app's own, in the fragment on disk.
followers() { sed -n "s/^backend \($stack\.$app\.\(once\|here\|here\.once\)\)$/\1/p" "$fragment"; }

# The other machines that run the app: each is as ready as its own proxy says.
peers() {
  local name address weight
  while read -r name address weight; do
    [[ -z $name ]] || printf '  server peer.%s %s weight %d no-check track %s/peer.%s%s\n' \
      "$name" "$address:$((20000 + number))" "$weight" "$stack.$app.peers" "$name" "$(option peers)"
  done < <(reached peer; echo)
}

# sticky COUNT PEERS: a cookie names the machine and the slot that answered, and asks again there while somebody serves there.
# HAProxy's own cookies end at the front of another machine, whose slots this one does not know.
sticky() {
  local cookie here name number
  cookie=$(option sticky) here=$(reached here)
  [[ -n $cookie ]] || return 0
  cookie=${cookie# } here=${here:-here}
  printf '  %s\n' "http-request set-var(txn.stuck) req.cook($cookie)" "http-response set-var-fmt(txn.answered) $here.%[srv_name]" \
    "http-response add-header Set-Cookie \"$cookie=%[var(txn.answered)]; Path=/; HttpOnly; SameSite=Lax\" if { srv_name -m beg s } !{ var(txn.stuck),strcmp(txn.answered) eq 0 }"
  while read -r name _; do
    [[ -z $name ]] || printf '  use-server peer.%s if { req.cook(%s) -m beg %s. }\n' "$name" "$cookie" "$name"
  done <<<"$2"
  for ((number = 1; number <= $1; number++)); do
    printf '  use-server s%d if { req.cook(%s) -m str %s.s%d }\n' "$number" "$cookie" "$here" "$number"
  done
}

# shellcheck disable=SC2016  # the proxy's own variable
# front_text COUNT: the way for the other machines' proxies, to the instances here and no further; and who asks whether there are any.
front_text() {
  local from
  from=$(reached from)
  printf '%s\n' '' "frontend $stack.$app.front" "  bind $front:$((20000 + number))$(option bind)" '  no log' \
    "  # Only the other machines' proxies, and only while somebody here can answer." \
    "  tcp-request connection reject unless { src $from }" "  tcp-request connection reject if { nbsrv($stack.$app.here) eq 0 }" \
    "$(part frontend)"
  ways "$stack.$app.here" "$1" ''
  printf '%s\n' '' "backend $stack.$app.ready" '  mode http' "  http-request deny unless { src $from }" \
    '  # This proxy has just been started, by nobody: it does not know yet who can answer.' \
    '  http-request return status 503 if { date,sub("${HANDFUL_STARTED-0}") lt 6 }' \
    '  # About to stop: the others are told before nobody answers here any more.' \
    "  http-request return status 503 if { str($stack.$app),map(/etc/haproxy/conf/leaving.map) -m found }" \
    "  http-request return status 200 if { nbsrv($stack.$app.here) gt 0 }" '  http-request return status 503'
}

# Whom this machine asks whether they have instances that can answer.
peers_text() {
  local name address
  printf '%s\n' '' "backend $stack.$app.peers" '  # A machine that is gone is found out in less than three seconds.' '  mode http' '  timeout connect 500ms' \
    '  timeout check 500ms' '  option httpchk' "  http-check send meth GET uri /ready/$stack/$app" '  http-check expect status 200' \
    '  default-server check inter 500ms fall 2 rise 1'
  while read -r name address _; do [[ -z $name ]] || printf '  server peer.%s %s:20000\n' "$name" "$address"; done < <(reached peer; echo)
}

# slots COUNT TRACK: the slots' lines, COUNT of them at least; those that only follow the slots of another backend end with TRACK.
slots() {
  local number slot mode free=disabled track=''
  for ((number = 1; number <= $1 || number <= ${#slot_mode[@]}; number++)); do
    slot=s$number
    mode=${slot_mode[$slot]:-disabled}
    [[ -z $2 ]] || track=$2$slot free=
    case $mode in
      active) printf '  server %s %s:%s%s\n' "$slot" "${slot_address[$slot]}" "$port" "$track" ;;
      backup) printf '  server %s %s:%s backup%s\n' "$slot" "${slot_address[$slot]}" "$port" "$track" ;;
      *) printf '  server %s 192.0.2.1:9 %s\n' "$slot" "$free${track# }" ;;
    esac
  done
}

# The machine's lock must be held by whoever writes here.
write_fragment() {
  local text
  text=$(own_fragment "$1") && printf '%s\n' "$text" | put "$fragment"
}

# own_fragment COUNT: the fragment of the release in whose folder this is.
own_fragment() {
  local number lines
  number=$(content "$app_folder/number") lines=$(content "$folder/proxy.cfg")
  fragment_text "$1"
}

# write_elsewhere: the fragment of an app that has no instance here.
write_elsewhere() {
  local text
  text=$(elsewhere_text) && printf '%s\n' "$text" | put "$fragment"
}
elsewhere_text() {
  local number lines port elsewhere=yes
  local -A slot_mode=()
  number=$(reached number) port=$(reached port) lines=$(grep -E '^(frontend|backend|bind|peers|sticky) ' "$reach")
  fragment_text 0
}

# Slots by themselves, without those that follow them.
own_slots() { grep -sE '^  server s[0-9]+ [0-9.]+:[0-9]+( backup| disabled)?$' "$1" || true; }
without_slots() { grep -svE '^  (use-)?server s[0-9]+ ' "$1" || true; }
count_slots() { own_slots "$fragment" | wc -l; }

# needs_reload COUNT: true when the running proxy cannot take the change at runtime.
needs_reload() { [[ ! -e $fragment ]] || (($(count_slots) < $1)) || ! settings_are_right; }

# settings_are_right: whether all of the fragment but its slots is as this release would write it.
settings_are_right() {
  [[ $(without_slots "$fragment") == "$(slot_mode=() && own_fragment 0)" ]]
}

# slots_for INSTANCES: how many slots a fragment has for so many, with room for those that come beside them.
slots_for() { printf '%d' "$(($1 * 4 > 8 ? $1 * 4 : 8))"; }

# restore_traffic FRAGMENT ROUTES: puts these texts back. What the proxy refuses must not be there when the machine starts the next time.
restore_traffic() {
  if [[ -n $1 ]]; then put "$fragment" <<<"$1"; else rm -f "$fragment"; fi
  printf '%s' "${2:+$2$'\n'}" | put "$routes"
  write_edge
}

# free_on_disk MODES ADDRESS...: their slots are free from now on, where the mode (backup, or nothing for one in use) is among
# the regular expression's. The rest of the fragment stays, whichever release wrote it.
free_on_disk() {
  [[ -e $fragment ]] || return 0
  awk -v modes="$1" -v gone=" ${*:2} " '{ split($3, at, ":"); mode = $4 == "backup" ? $4 : "" }
    $1 == "server" && $2 ~ /^s[0-9]+$/ && mode ~ modes && index(gone, " " at[1] " ") {
      print "  server " $2 " 192.0.2.1:9 " ($NF ~ "/" ? "no-check track " $NF : "disabled"); next } { print }' "$fragment" | put "$fragment"
}

# Who asks whether an app has instances here asks on one port, for all apps: GET /ready/STACK/APP.
write_ready() {
  local text
  text=$(ready_text)
  if [[ -n $text ]]; then put "$conf/20-ready.cfg" <<<"$text"; else rm -f "$conf/20-ready.cfg"; fi
}
ready_text() {
  local fronts address
  fronts=$({ cat -- "$root"/stacks/*/reach/* "$root"/stacks/*/reach/.[a-z]* 2>/dev/null || true; } | sed -n 's/^front //p' | sort -u)
  [[ -n $fronts ]] || return 0
  printf '%s\n' '# Whether an app has a healthy instance here: the other machines ask.' 'frontend handful.ready' '  mode http' '  no log'
  while read -r address; do printf '  bind %s:20000\n' "$address"; done <<<"$fronts"
  printf '%s\n' '  use_backend %[path,field(3,/)].%[path,field(4,/)].ready'
}

# strangers: files in the proxy's folder that it reads and that are nobody's; an app's own is there as long as the app is known here.
strangers() {
  local file name folder
  for file in "$conf"/*.cfg; do
    name=${file##*/}
    [[ -e $file && $name != 00-global.cfg && $name != 10-edge.cfg && $name != 20-ready.cfg ]] || continue
    if [[ $name =~ ^50-([^.]+)\.([^.]+)\.cfg$ ]]; then
      folder=$root/stacks/${BASH_REMATCH[1]}
      [[ ! -e $folder/apps/${BASH_REMATCH[2]} && ! -e $folder/reach/${BASH_REMATCH[2]} && ! -e $folder/reach/.${BASH_REMATCH[2]} ]] || continue
    fi
    printf '%s\n' "$name"
  done
}

# A container's packets leave this machine under its private address, which fronts trust: those to a front are dropped before that.
guard_fronts() { bash "$root/fronts.bash" || fail "the fronts of other machines could not be closed to containers" "" "handful needs iptables, as Docker does."; }
