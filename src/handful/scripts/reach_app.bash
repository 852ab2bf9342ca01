# Writes down how an app is reached from this machine and from others (text empty: in no way any more), and tells proxy and names.
: "${stack:?}" "${app:?}" "${text?}"
# uses: prelude lib_instances lib_fragment lib_proxy lib_work
app_paths
lock_machine
learned=$reach fragment_before=$(content "$fragment") routes_before=$(content "$routes")
reach=${learned%/*}/.$app
trap put_back EXIT

# What was cut short is as it was.
put_back() {
  [[ -e $reach ]] || return 0
  rm -f "$reach"
  restore_traffic "$fragment_before" "$routes_before"
  guard_fronts
  write_ready
}

# tell_proxy: the fragment as it is from now on; what runs here keeps its slots.
tell_proxy() {
  folder=$app_folder/current
  # It runs, and nobody knows how: what the proxy has of it stays until it is deployed again.
  [[ ! -L $folder || -e $folder/served ]] || return 0
  local port keys=()
  port=$(sed -n 's/^port //p' "$folder/served" 2>/dev/null || true)
  if [[ -n $port && -e $fragment ]]; then
    read_slots
    write_fragment "$(count_slots)"
    [[ $(reached edge) == no ]] || mapfile -t keys < <(sed -n 's/^route //p' "$folder/served")
    drop_routes disk "${keys[@]}"
    claim_routes "${keys[@]}"
    write_edge
  else
    has_traffic || return 0
    write_no_traffic
  fi
  reload_mended "$fragment_before" "$routes_before"
}

mkdir -p "${reach%/*}"
[[ -e $routes ]] || : | put "$routes"
if [[ -n $text ]]; then
  check_number "$(sed -n 's/^number //p' <<<"$text")"
  printf '%s\n' "$text" >"$reach"
  # Before anybody is let in.
  guard_fronts
  write_ready
  tell_proxy
  sync_names
  # From here on it is learned: whatever was cut short before is done again.
  mv -T "$reach" "$learned"
else
  tell_proxy
  rm -f "$learned"
  guard_fronts
  write_ready
  sync_names
  forget_network
  [[ -e $app_folder/current ]] || set_maintenance ''
fi
runs_on=$(sed -n 's/^peer \([^ ]*\) .*/\1/p' <<<"$text" | paste -sd ' ')
[[ -z $runs_on ]] || event reached "$app is reached on $runs_on" app "$app"
