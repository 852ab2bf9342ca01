# Stops an app's instances and takes its traffic away; its release, volumes and history stay.
: "${stack:?}" "${app:?}" "${stop_timeout:?}"
# uses: prelude lib_instances lib_fragment lib_proxy lib_drain lib_revert
app_paths
recover
mapfile -t names < <(instances '{{.Names}}')
lock_machine
: >"$app_folder/stopped"
if [[ -e $fragment ]]; then
  mapfile -t addresses < <(own_slots "$fragment" | awk '$4 != "disabled" { split($3, at, ":"); print at[1] }')
  mapfile -t slots < <(own_slots "$fragment" | awk '$4 != "disabled" { print $2 }' | sed "s|^|set server $stack.$app/|")
  free_on_disk '' "${addresses[@]}"
  ((${#slots[@]} == 0)) || proxy_say admin "${slots[@]/%/ state maint}" >/dev/null
fi
unlock_machine
((${#names[@]} == 0)) || docker update --restart no "${names[@]}" >/dev/null 2>&1 || true
for name in "${names[@]}"; do docker stop -t "$stop_timeout" "$name" >/dev/null 2>&1 & done
wait
event stopped "$app is stopped" app "$app"
