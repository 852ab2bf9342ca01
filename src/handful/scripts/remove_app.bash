# Takes an app from this machine: containers, releases, traffic, names. Volumes are kept.
: "${stack:?}" "${app:?}" "${stop_timeout:?}"
# uses: prelude lib_instances lib_fragment lib_proxy lib_work
app_paths
mapfile -t names < <(docker ps --all --filter "label=handful.stack=$stack" --filter "label=handful.app=$app" --format '{{.Names}}')
# Who is served by them now is answered first.
mapfile -t slots < <([[ ! -e $fragment ]] || own_slots "$fragment" | awk '$4 != "disabled" { print $2 }')
patience=$(sed -n 's/^drain_timeout=//p' "$app_folder/current/run_app.bash" 2>/dev/null || true)
lock_machine
[[ ! -d $conf ]] || drop_traffic
# An edge that the app leaves goes on being its edge.
[[ -e $reach ]] || set_maintenance ''
unlock_machine
deadline=$(($(now) + ${patience:-0} * 100))
while ((${#slots[@]} && ${#names[@]})) && (($(connections "${slots[@]}") > 0 && $(now) < deadline)); do sleep 0.2; done
stop_instances "${names[@]}"
mapfile -t images < <(sed -n 's/^image=//p' "$app_folder"/releases/*/run_app.bash 2>/dev/null | sort -u)
rm -rf -- "$app_folder"
for image in "${images[@]}"; do forget_image "$image"; done
sync_names
forget_network
event removed "$app is removed; its volumes are kept" app "$app"
