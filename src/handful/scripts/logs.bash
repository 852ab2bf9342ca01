# Shows what an app's instances wrote: each line with the time and the instance that wrote it.
: "${stack:?}" "${app:?}" "${follow?}" "${since?}" "${lines:?}"
# uses: prelude lib_instances
options=(--timestamps --tail "$lines")
[[ -z $follow ]] || options+=(--follow)
[[ -z $since ]] || options+=(--since "$since")
mapfile -t names < <(instances '{{.Names}}')
# Nobody listens any more when stdin ends: nothing of this stays behind.
if [[ -n $follow ]]; then { cat >/dev/null && kill 0; } <&0 & fi
for name in "${names[@]}"; do
  docker logs "${options[@]}" "$name" 2>&1 | sed -u "s/^\([^ ]*\) /\1 ${name#"$stack".} /" &
done
wait
