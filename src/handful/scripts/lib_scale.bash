# Other numbers of instances of the same release: some start, or some leave, and the rest serves on. `kept` in the journal, lines
# ID ADDRESS, are those that stay.

# phase_scale: as phase_start, of what is missing; those that are too many, and those that have ended, are about to leave.
phase_scale() {
  local wanted
  recover "$release"
  survey
  begin_journal
  wanted=$(content "$app_folder/instances")
  serving | head -n "${wanted:-1}" >"$journal/kept"
  grep -vxFf <(awk '{ print $1 }' "$journal/kept"; echo) "$journal/old" | put "$journal/old" || : >"$journal/old"
  lock_machine
  start_instances "$((${wanted:-1} - $(wc -l <"$journal/kept")))"
  unlock_machine
}

# Those that serve now, ID ADDRESS, in the order of their numbers.
serving() {
  awk -v app="$stack/$app/" -v release="true,$release" 'index($4, app) == 1 && $3 == "unless-stopped" && $5 == release {
    split(substr($NF, 4), at, ","); number = $2; sub(/.*-/, "", number); print number, $1, at[1] }' <<<"$surveyed" | sort -n | cut -d ' ' -f 2-
}

# kept_addresses: one to a line; none when all are new.
kept_addresses() { [[ ! -e $journal/kept ]] || awk '{ print $2 }' "$journal/kept"; }

# phase_scale_to COUNT: the whole of it, as the hours of the app ask for. It is no deploy: it has no number, and history tells
# of it when it has gone well.
phase_scale_to() {
  # shellcheck disable=SC2034  # the lock tells it
  local holder="the hours of $app"
  lock_stack
  # Whoever held the lock until now may have changed what there is to do.
  [[ $(readlink "$app_folder/current") == "releases/$release" && ! -e $app_folder/stopped ]] || exit 0
  count_wanted=$1 count_before=$(content "$app_folder/instances")
  outcome=failed
  trap end_by_hours EXIT
  trap 'outcome=interrupted; exit 130' TERM INT
  put "$app_folder/instances" <<<"$1"
  phase_scale
  phase_wait
  phase_switch ''
  phase_promote
  phase_finish
  outcome='done'
}

end_by_hours() {
  trap - ERR
  trap '' TERM INT
  if [[ $outcome == 'done' ]]; then
    printf '{"event":"hours","app":%s,"from":%d,"to":%d,"when":"%s"}\n' "$(json_string "$app")" "$count_before" "$count_wanted" "$(date -u +%FT%TZ)" | append_history
  else
    phase_revert
    put "$app_folder/instances" <<<"$count_before"
  fi
}
