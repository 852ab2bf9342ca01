# The way back of one release's switch, from whatever point it had reached, by what its journal says.

# phase_revert [RELEASE]: that one's folder is kept although it failed, because it is about to be tried again.
phase_revert() {
  local new failed
  [[ -d $journal ]] || return 0
  docker rm --force "$stack.$app.release-command" >/dev/null 2>&1 || true
  mapfile -t new < <(awk '{ print $1 }' "$journal/new")
  # Whatever the proxy says, the new instances go and the old ones stay.
  [[ ! -e $journal/switched ]] || (take_back) || event trouble "the proxy could not be put back for $app; the next deploy does it"
  start_old
  if [[ -e $journal/switched ]]; then drain_apart; elif ((${#new[@]})); then docker rm --force "${new[@]}" >/dev/null 2>&1 || true; fi
  failed=$(basename "$(content "$journal/release")")
  rm -rf "$journal"
  [[ $failed == "${1:-}" ]] || grep -qsxF -- "$failed" "$app_folder/released" || discard "$failed"
  event reverted "$app is back on $(basename "$(readlink "$app_folder/current" || echo nothing)")"
}

# Traffic and `current` go back to where they were before the switch.
take_back() {
  local before keys old new
  lock_machine
  before=$(content "$journal/before")
  if [[ -n $before ]]; then point_current "$before"; else rm -f "$app_folder/current"; fi
  mapfile -t keys <"$journal/routes"
  new=$(awk '{ print $2 }' "$journal/new")
  if [[ ! -e $journal/fragment ]]; then
    drop_traffic
  elif [[ $(unserved "$fragment") == "$(unserved "$journal/fragment")" ]]; then
    old=$(active_addresses "$journal/fragment")
    read_slots
    [[ -z $old ]] || switch_slots "$old" "$new"
    # shellcheck disable=SC2086  # one word per address
    give_slots active $old
    # shellcheck disable=SC2086
    give_slots backup $new
    write_fragment "$(count_slots)"
    set_routes runtime "${keys[@]}"
  else
    put "$fragment" <"$journal/fragment"
    set_routes disk "${keys[@]}"
    write_edge
    reload_proxy
  fi
  unlock_machine
}

active_addresses() { awk '$1 == "server" && NF == 3 { split($3, at, ":"); print at[1] }' "$1"; }
unserved() { grep -sv '^  server ' "$1" || true; }

# Only `recreate` has stopped them.
start_old() {
  local old
  mapfile -t old <"$journal/old"
  ((${#old[@]} == 0)) || docker start "${old[@]}" >/dev/null 2>&1 || true
}
