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

# phase_scale_to COUNT: the whole of it, as the hours of the app ask for.
phase_scale_to() {
  local before
  before=$(content "$app_folder/instances")
  lock_stack
  outcome=failed
  trap 'end_by_hand; [[ $outcome == "done" ]] || put "$app_folder/instances" <<<"$before"' EXIT
  trap 'outcome=interrupted; exit 130' TERM INT
  put "$app_folder/instances" <<<"$1"
  history_begin hours
  phase_scale
  phase_wait
  phase_switch
  phase_promote
  phase_finish
  outcome='done'
}
