# Runs one release on this machine: new instances start, prove their health, take over, and the old ones drain.
: "${stack:?}" "${app:?}" "${release:?}" "${image:?}" "${port?}" "${network:?}" "${strategy:?}" "${memory?}" "${cpus?}" "${health_kind:?}" "${health_path?}" "${health_host?}" "${health_every_ms:?}" "${health_within_ms:?}" "${stop_timeout:?}" "${drain_timeout:?}" "${path:?}"
# uses: prelude lib_instances lib_health lib_word lib_fragment lib_proxy lib_switch lib_drain lib_aside lib_scale lib_drift lib_measure lib_revert

# Not by way of `current`, which leads elsewhere one day: containers have files of this folder mounted.
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
app_paths

# By hand: everything, and back to the old release when something fails.
phase_all() {
  lock_stack
  outcome=failed
  trap end_by_hand EXIT
  trap 'outcome=interrupted; exit 130' TERM INT
  history_begin
  phase_start
  phase_wait
  phase_switch ''
  phase_promote
  phase_finish
  outcome='done'
}

end_by_hand() {
  trap - ERR
  # A second Ctrl-C must not break the way back.
  trap '' TERM INT
  [[ $outcome == 'done' ]] || phase_revert
  history_end "$outcome"
}

phase_start() {
  local looking count
  docker image inspect "$image" >/dev/null 2>&1 &
  looking=$!
  recover "$release"
  survey
  wait "$looking" || fail "the image $image of $app is not on this machine" "" "Run handful deploy $app: it brings the image back."
  begin_journal
  [[ $strategy != recreate ]] || stop_old
  side_script before_start
  count=$(content "$app_folder/instances")
  lock_machine
  start_instances "${count:-1}"
  unlock_machine
}

# start_instances COUNT: all side by side, under names and addresses that nobody has.
start_instances() {
  local names addresses=() index found starting=() each failed=
  (($1 > 0)) || return 0
  found=$(free_names "$1")
  mapfile -t names <<<"$found"
  if [[ $network != host ]]; then
    know_subnet
    found=$(free_addresses "$1")
    mapfile -t addresses <<<"$found"
  fi
  for index in "${!names[@]}"; do
    printf '%s %s\n' "${names[$index]}" "${addresses[$index]:-127.0.0.1}" >>"$journal/new"
    start_instance "${names[$index]}" "${addresses[$index]:-}" &
    starting+=("$!")
  done
  for each in "${starting[@]}"; do wait "$each" || failed=yes; done
  [[ -z $failed ]] || exit "$said_why"
}

# It is there whole or not at all. `old` and `leaving` hold ids: a drain may outlive this deploy, and names are given again.
begin_journal() {
  local making=$journal.new
  rm -rf "$making"
  mkdir -p "$making"
  readlink "$app_folder/current" >"$making/before" || true
  by_restart unless-stopped >"$making/old"
  by_restart no >"$making/leaving"
  : >"$making/new"
  present_routes >"$making/routes"
  [[ ! -e $fragment ]] || cp "$fragment" "$making/fragment"
  now >"$making/started_at"
  printf '%s\n' "releases/$release" >"$making/release"
  mv -T "$making" "$journal"
  [[ -z $port ]] || mark_measured
}

# mark_measured [WHEN]: requests to this app are counted at the end of the work; WHEN it switched.
mark_measured() { [[ -z ${HANDFUL_SESSION:-} ]] || printf '%s' "${1:-}" >"$HANDFUL_SESSION/measured-$app"; }

stop_old() {
  local old
  mapfile -t old <"$journal/old"
  ((${#old[@]})) || return 0
  event stopping "$app stops: its strategy is recreate"
  [[ -z $port || $network == host ]] || step_aside "${old[@]}"
  docker stop -t "$stop_timeout" "${old[@]}" >/dev/null
  now >"$journal/started_at"
}

# A script of the user's that belongs to the release.
side_script() {
  local said
  [[ -e $folder/$1.bash ]] || return 0
  said=$(HANDFUL_STACK=$stack HANDFUL_APP=$app HANDFUL_RELEASE=$release bash "$folder/$1.bash" 2>&1 9>&-) ||
    fail "$1 of $app failed" "$(tail -n 10 <<<"$said")" "$(still)"
}

phase_wait() {
  local name address started_at deadline
  started_at=$(content "$journal/started_at")
  deadline=$((started_at + health_within_ms / 10))
  while read -r name address; do wait_healthy "$name" "$address" "$deadline"; done <"$journal/new"
  [[ -e $journal/kept ]] || side_script after_start
  [[ -z $port || $network == host ]] || prepare_switch
}

# phase_switch [WORD]: the commit point is the rename of `current`; what the proxy has on disk is right at every moment.
phase_switch() {
  # Here and not in a script of its own: that one's start would come between the word and the first answer.
  [[ -z ${1:-} ]] || wait_for_word "$1"
  [[ -z ${HANDFUL_SESSION:-} ]] || : >"$HANDFUL_SESSION/switching"
  lock_machine
  : >"$journal/switched"
  if [[ -n $port && $network != host ]]; then
    switch_traffic
    come_back
    mark_measured "$(wall_clock)"
  else
    point_current "releases/$release"
    drop_traffic
  fi
  unlock_machine
  if [[ -e $journal/kept ]]; then
    event scaled "$app has $(content "$app_folder/instances") instances" release "$release"
  else
    event switched "$app runs $release" release "$release"
  fi
}

# phase_resume RELEASE: a switch that was cut short after its commit point; the proxy's files follow `current`.
phase_resume() {
  lock_machine
  if [[ -n $port && $network != host ]]; then switch_traffic reload; else drop_traffic; fi
  unlock_machine
  phase_promote
  phase_finish "${1:-}"
}

# Docker brings back the new instances from now on; one that was healthy and has ended would stay away. Nothing final
# happens before this has gone well for all apps. The old ones are demoted later: whenever the power fails, a boot starts one of the two.
phase_promote() {
  local new
  mapfile -t new < <(awk '{ print $1 }' "$journal/new")
  ((${#new[@]})) || return 0
  docker update --restart unless-stopped "${new[@]}" >/dev/null
  still_run "${new[@]}"
}

# phase_finish [RELEASE]: that one's folder is kept although it never ran, because it is about to.
phase_finish() {
  local old leaving
  mapfile -t old <"$journal/old"
  mapfile -t leaving <"$journal/leaving"
  give_up_routes
  ((${#old[@]} == 0)) || docker update --restart no "${old[@]}" >/dev/null 2>&1 || true
  remember "$(basename "$(content "$journal/release")")"
  # This app does not go back any more, whatever becomes of the others.
  rm -rf "$journal" "$app_folder/stopped" "${HANDFUL_SESSION:-/nonexistent}/placed/$app"
  drain_apart "${old[@]}" "${leaving[@]}"
  prune "${1:-}"
}

# Only now, when all apps have switched: a domain that moves from one app to another leads somewhere at every moment.
give_up_routes() {
  local keys
  mapfile -t keys < <(wanted_routes)
  [[ -n $(stale_routes "${keys[@]}") ]] || return 0
  lock_machine
  drop_routes runtime "${keys[@]}"
  edge_is_right || { write_edge && reload_proxy; }
  unlock_machine
}

# `released` lists this app's releases in the order in which they came into use, the present one last.
remember() {
  { grep -vxF -- "$1" "$app_folder/released" 2>/dev/null || true; printf '%s\n' "$1"; } | put "$app_folder/released"
}

# prune [RELEASE]: releases beyond `keep` go, and what never came into use, but for that one.
prune() {
  local found kept keep
  keep=$(content "$app_folder/keep")
  kept=$(tail -n "${keep:-5}" "$app_folder/released")
  for found in "$app_folder"/releases/*/; do
    found=${found%/} found=${found##*/}
    [[ $found == "${1:-}" || $'\n'$kept$'\n' == *$'\n'"$found"$'\n'* ]] || discard "$found"
  done
  printf '%s\n' "$kept" | put "$app_folder/released"
}

# discard RELEASE: its folder and its image.
discard() {
  local old_image
  old_image=$(grep -m 1 '^image=' "$app_folder/releases/$1/run_app.bash" || true)
  rm -rf "${app_folder:?}/releases/$1"
  [[ -z $old_image ]] || forget_image "${old_image#image=}"
}

# Once per deploy, in the new image, before any traffic moves.
phase_release_command() {
  local said common line
  ((${#release_command[@]})) || return 0
  common_options
  event release_command "$app runs its release command: ${release_command[*]}"
  said=$(docker_run --rm --name "$stack.$app.release-command" "${common[@]}" "$image" "${release_command[@]}" 2>&1) ||
    fail "the release command of $app failed" "$(tail -n 10 <<<"$said")" "What it did to its database or files stays. $(still)"
  while read -r line; do event output "$line"; done <<<"$said"
}

# A container beside the instances, for one command.
phase_one_off() {
  local common terminal=(--interactive)
  [[ -z ${HANDFUL_TERMINAL:-} ]] || terminal+=(--tty)
  common_options
  # Its exit code is the user's own matter.
  trap - ERR
  docker_run --rm "${terminal[@]}" --name "$stack.$app.run-$$" "${common[@]}" "$image" "$@"
}

# By hand there is no operator: history names the machine's own user.
history_begin() {
  local file=$root/stacks/$stack/history.jsonl last
  last=$(grep -o '^{"deploy":[0-9]*' "$file" 2>/dev/null | tail -n 1 || true)
  deploy=$((${last#*:} + 1))
  event begun "deploy $deploy of $stack, by hand: $app $release"
  printf '{"deploy":%d,"event":"begun","what":"by hand","when":%s,"who":%s,"from":%s,"apps":{%s:{"from":%s,"to":%s}}}\n' \
    "$deploy" "$(json_string "$(date -u +%FT%TZ)")" "$(json_string "$(id -un)")" "$(json_string "$(hostname)")" "$(json_string "$app")" \
    "$(json_string "$(basename "$(readlink "$app_folder/current" || true)")")" "$(json_string "$release")" | append_history
}
history_end() {
  printf '{"deploy":%d,"event":"ended","outcome":"%s","when":"%s"}\n' "$deploy" "$1" "$(date -u +%FT%TZ)" | append_history
}

case ${1:-all} in
  all | start | scale | wait | promote | finish | release_command) "phase_${1:-all}" ;;
  switch | resume | revert | drain | drift | mend | scale_to | one_off) "phase_$1" "${@:2}" ;;
  *) fail "usage: bash run_app.bash   (starts this release without downtime)" ;;
esac
