# The way back of one release's switch, from whatever point it had reached, by what its journal says.

# recover [RELEASE]: an interrupted run is finished when it had switched, else taken back. RELEASE is about to run: its folder stays.
recover() {
  local interrupted
  [[ -d $journal ]] || return 0
  # That release knows its own port, domains and limits.
  interrupted=$app_folder/$(content "$journal/release")/run_app.bash
  if [[ -e $journal/switched && $(readlink "$app_folder/current") == "$(content "$journal/release")" ]] && new_run; then
    event recovered "the interrupted switch of $app to $(basename "$(content "$journal/release")") is finished first"
    bash "$interrupted" resume "${1:-}" 8>&- 9>&-
  else
    event recovered "an interrupted start of $app is cleared away first"
    bash "$interrupted" revert "${1:-}" 8>&- 9>&-
  fi
}

# After a reboot the new instances may be down: nobody had told Docker to start them, and the old ones serve.
new_run() {
  local new
  mapfile -t new < <(awk '{ print $1 }' "$journal/new")
  ((${#new[@]})) || return 0
  [[ $(docker inspect --format '{{.State.Running}}' "${new[@]}" 2>&1 | sort -u) == true ]]
}

# phase_revert [RELEASE]: that one's folder is kept although it failed, because it is about to be tried again.
phase_revert() {
  local new failed leaving
  # By hand the switch may have failed in this very process, with the lock in its hand.
  unlock_machine
  [[ -d $journal ]] || return 0
  docker rm --force "$stack.$app.release-command" >/dev/null 2>&1 || true
  mapfile -t new < <(awk '{ print $1 }' "$journal/new")
  # Old and new must never run together when the strategy is recreate.
  if [[ $strategy == recreate || ! -e $journal/switched ]] && ((${#new[@]})); then docker rm --force "${new[@]}" >/dev/null 2>&1 || true; fi
  start_old
  [[ ! -e $journal/aside ]] || back_from_aside
  # Whatever the proxy says, the new instances go and the old ones stay.
  if [[ -e $journal/switched ]]; then
    (take_back) || event trouble "the proxy could not be told of the way back of $app: handful restart $app does it"
    demote_new
    survey
    # By name, too: Docker does not change one that dies just then (seen), and it would stay for ever.
    mapfile -t leaving < <({ by_restart no && ids_of "${new[@]}"; } | sort -u)
    drain_apart "${leaving[@]}"
  fi
  failed=$(basename "$(content "$journal/release")")
  rm -rf "$journal"
  [[ $failed == "${1:-}" ]] || grep -qsxF -- "$failed" "$app_folder/released" || discard "$failed"
  if [[ -L $app_folder/current ]]; then
    event reverted "$app is back on $(basename "$(readlink "$app_folder/current")")"
  else
    event reverted "$app is gone again: it had no release before"
  fi
}

# Nothing had switched: the old ones are where they were, and the others are told so.
back_from_aside() {
  local old
  mapfile -t old < <(active_addresses "$journal/fragment")
  (lock_machine && come_back "${old[@]}") || event trouble "the proxy could not be told of the way back of $app: handful restart $app does it"
}

# Traffic and `current` go back to where they were before the switch.
take_back() {
  local before keys old new
  lock_machine
  before=$(content "$journal/before")
  if [[ -n $before ]]; then point_current "$before"; else rm -f "$app_folder/current"; fi
  mapfile -t keys <"$journal/routes"
  new_addresses
  if [[ ! -e $journal/fragment ]]; then
    drop_traffic
  elif [[ $strategy != recreate && $(without_slots "$fragment") == "$(without_slots "$journal/fragment")" ]]; then
    mapfile -t old < <(active_addresses "$journal/fragment")
    read_slots
    # The files first: they must be right even when the proxy does not answer.
    give_slots active "${old[@]}"
    give_slots backup "${new[@]}"
    write_fragment "$(count_slots)"
    set_routes runtime "${keys[@]}"
    give_back_routes runtime
    drop_routes runtime "${keys[@]}"
    ((${#old[@]} == 0)) || rejoin_slots "${old[@]}"
    leave_slots "${new[@]}"
    edge_is_right || { write_edge && reload_proxy; }
  else
    put "$fragment" <"$journal/fragment"
    set_routes disk "${keys[@]}"
    give_back_routes disk
    drop_routes disk "${keys[@]}"
    write_edge
    reload_proxy
  fi
  unlock_machine
}

active_addresses() { own_slots "$1" | awk 'NF == 3 { split($3, at, ":"); print at[1] }'; }

# Whoever was about to finish may have promoted the new instances and demoted the old ones.
demote_new() {
  local old
  mapfile -t old <"$journal/old"
  ((${#old[@]} == 0)) || docker update --restart unless-stopped "${old[@]}" >/dev/null 2>&1 || true
  ((${#new[@]} == 0)) || docker update --restart no "${new[@]}" >/dev/null 2>&1 || true
  [[ ! -s $journal/before ]] || remember "$(basename "$(content "$journal/before")")"
}

# Only `recreate` has stopped them.
start_old() {
  local old
  mapfile -t old <"$journal/old"
  ((${#old[@]} == 0)) || docker start "${old[@]}" >/dev/null 2>&1 || true
}
