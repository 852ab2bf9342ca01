# Writes down how an app is reached from this machine and from others (text empty: in no way any more), and tells proxy and names.
: "${stack:?}" "${app:?}" "${text?}"
# uses: prelude lib_instances lib_fragment lib_proxy lib_work
app_paths
lock_machine
before=$(content "$reach") fragment_before=$(content "$fragment")
trap go_back_to_before EXIT

# What the proxy refuses must not be there when the machine starts the next time.
go_back_to_before() {
  [[ -z ${learned:-} ]] || return 0
  if [[ -n $before ]]; then put "$reach" <<<"$before"; else rm -f "$reach"; fi
  if [[ -n $fragment_before ]]; then put "$fragment" <<<"$fragment_before"; else rm -f "$fragment"; fi
  write_ready
}

mkdir -p "${reach%/*}"
if [[ -n $text ]]; then put "$reach" <<<"$text"; else rm -f "$reach"; fi
guard_fronts
write_ready
folder=$app_folder/current
if [[ -e $folder/run_app.bash && -e $fragment ]]; then
  # shellcheck disable=SC2034  # lib_fragment reads it
  port=$(sed -n 's/^port=//p' "$folder/run_app.bash" | head -n 1)
  read_slots
  write_fragment "$(count_slots)"
  reload_proxy
else
  drop_traffic
fi
sync_names
learned=yes
runs_on=$(reached peer | awk '{ print $1 }' | paste -sd ' ')
[[ -z $runs_on ]] || event reached "$app is reached on $runs_on" app "$app"
