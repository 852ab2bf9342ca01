# Removes images that no kept release of any stack, no part of the machine and no container needs, one line for each.
: "${dry?}" "${older:?}"
# uses: prelude
# `dry`: only tell. `older`: seconds; younger ones may be on their way into a release.

# The images of handful's, by name; those that a transfer left have the names of a tunnel that is gone.
candidates() {
  local name port
  docker images --no-trunc --format '{{.Repository}}:{{.Tag}}' | grep '^handful/' | grep -v ':<none>$'
  while read -r name; do
    port=${name#127.0.0.1:} port=${port%%/*}
    [[ -n $(ss -Hltn "sport = :$port") ]] || printf '%s\n' "$name"
  done < <(docker images --all --no-trunc --digests --format '{{.Repository}}@{{.Digest}}' | grep '^127\.0\.0\.1:[0-9]*/handful/' | grep -v '@<none>$')
}

# Names of images that something needs.
needed() {
  # Quoted as it must be, a name of handful's is as it is.
  sed -n 's/^image=//p' "$root"/stacks/*/apps/*/releases/*/run_app.bash 2>/dev/null
  sed -n 's/.*"images": *{\([^}]*\)}.*/\1/p' "$root/machine.json" 2>/dev/null | grep -o 'handful/system/[^"]*'
  docker ps --all --format '{{.Image}}'
}

candidates=$({ candidates || true; } | sort -u)
needed=$({ needed || true; } | sort -u)
count=0 total=0 now=$(date +%s)
while read -r image; do
  [[ -n $image && $'\n'$needed$'\n' != *$'\n'"$image"$'\n'* ]] || continue
  read -r size tagged < <(docker image inspect --format '{{.Size}} {{.Metadata.LastTagTime.Unix}}' "$image" 2>/dev/null || echo 0 "$now")
  # Docker does not know when an image came that was loaded, and got no name since.
  ((tagged > 0 && now - tagged >= older)) || continue
  # Docker keeps what a container uses, whatever its name.
  [[ -n $dry ]] || docker rmi "$image" >/dev/null 2>&1 || continue
  count=$((count + 1)) total=$((total + size))
  printf '%s (%d MB)\n' "$image" "$((size / 1000000))"
done <<<"$candidates"
if ((count == 0)); then echo 'nothing to remove'; fi
