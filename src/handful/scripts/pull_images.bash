# Fetches images from a registry, those layers that are missing, and gives them the names that releases know.
: "${server:?}" "${login?}" "${images:?}" "${keep_login?}"
# uses: prelude lib_transfer lib_images
# `login`: USER:PASSWORD in base64; `images`: see lib_images.

log_in() {
  local known
  [[ -n $login ]] || return 0
  if [[ -z $keep_login ]]; then use_login "$server" "$login" && return 0; fi
  known=$(base64 -d <<<"$login")
  awaited docker login --username "${known%%:*}" --password-stdin "${server%%/*}" < <(printf '%s' "${known#*:}") ||
    fail "this machine could not log in to $server" "$(last_said)" "Are server, user and password of \`registry\` right? $old_serves"
}
# fetch NAME REFERENCE: Docker itself fetches layers side by side.
fetch() {
  local from=$server/$2 name=$1 part layers held
  mapfile -t layers < <(layers_of "$name")
  read -r _ held _ < <(missing_bytes "${layers[@]}")
  # A pull that breaks off leaves nothing behind, however many layers it had: each part is an image, and stays. Docker fetches
  # a layer once for all pulls that want it.
  while read -r part; do
    ((${part#*,} <= held)) || { docker pull --quiet "$server/${part%,*}" >/dev/null 2>&1 & working+=" $!"; }
  done < <(parts_of "$name")
  awaited docker pull --quiet "$from" || return 1
  docker tag "$from" "$name" && docker rmi "$from" >/dev/null
}

# Names of tunnels that are there no more: what a line that was cut has left, and the parts of images that are whole by now.
forget_leftovers() {
  local name port
  # shellcheck disable=SC2086  # one word per process
  wait $working || true
  while read -r name; do
    port=${name#127.0.0.1:} port=${port%%/*}
    if [[ $server == "127.0.0.1:$port" || -z $(ss -Hltn "sport = :$port") ]]; then docker rmi "$name" >/dev/null 2>&1 || true; fi
  done < <(docker images --digests --all --format '{{.Repository}}@{{.Digest}}' | grep '^127\.0\.0\.1:[0-9]*/handful/' || true)
}

begin_transfer
log_in
check_room 1
event fetching ''
while read -r name reference _; do
  [[ $name != [-+] ]] || continue
  fetch "$name" "$reference" || fail "the image $name could not be fetched" "$(last_said)" "$old_serves What has arrived is kept: try again."
  need_right "$name"
done <<<"$images"
forget_leftovers
