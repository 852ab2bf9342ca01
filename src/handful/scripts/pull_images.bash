# Fetches images from a registry, those layers that are missing, and gives them the names that releases know.
: "${server:?}" "${login?}" "${images:?}" "${keep_login?}"
# uses: prelude lib_transfer
# `login`: USER:PASSWORD in base64; `images`: lines NAME REFERENCE BYTES (unpacked; 0: nobody knows), and below each its parts,
# lines `+ REFERENCE COUNT` (an image of so many of its lowest layers), and its layers, lines `- DIFF_ID BYTES` (packed).

log_in() {
  local known
  [[ -n $login ]] || return 0
  if [[ -z $keep_login ]]; then use_login "$server" "$login" && return 0; fi
  known=$(base64 -d <<<"$login")
  awaited docker login --username "${known%%:*}" --password-stdin "${server%%/*}" < <(printf '%s' "${known#*:}") ||
    fail "this machine could not log in to $server" "$(last_said)" "Are server, user and password of \`registry\` right? $old_serves"
}
old_serves='The old release still serves.'

# The diff ids of each image of this machine, one image to a line.
known_images() {
  local ids
  mapfile -t ids < <(docker images --quiet --all --no-trunc | sort -u)
  ((${#ids[@]})) || return 0
  docker image inspect --format '{{range .RootFS.Layers}} {{.}}{{end}}' "${ids[@]}" 2>/dev/null || true
}

# missing_bytes LAYER...: the packed bytes of those (DIFF_ID:BYTES) that do not stand on the same layers here.
missing_bytes() {
  awk -v wanted="$*" '
    BEGIN { count = split(wanted, layers, " "); for (i = 1; i <= count; i++) { split(layers[i], part, ","); id[i] = part[1]; size[i] = part[2] } }
    { for (i = 1; i <= count && $i == id[i]; i++) if (i > most) most = i }
    END { for (i = most + 1; i <= count; i++) sum += size[i]; printf "%.0f %d %d\n", sum, most, count }' <<<"$here"
}

# check_room: what is missing must fit, packed and unpacked, with something to spare.
check_room() {
  local name reference bytes layer layers need=0 packed missing held count free
  while read -r name reference bytes; do
    [[ $name != [-+] ]] || continue
    mapfile -t layers < <(layers_of "$name")
    packed=0
    for layer in "${layers[@]}"; do packed=$((packed + ${layer#*,})); done
    read -r missing held count < <(missing_bytes "${layers[@]}")
    # A registry that tells no sizes: by the number of layers.
    ((packed > 0)) || missing=0
    if ((packed > 0)); then bytes=$((bytes * (missing / 1024) / (packed / 1024 + 1))); else bytes=$((bytes * (count - held) / (count > 0 ? count : 1))); fi
    need=$((need + missing + bytes))
  done <<<"$images"
  ((need > 0)) || return 0
  free=$(df --output=avail --block-size=1 "$(docker info --format '{{.DockerRootDir}}')" | tail -n 1)
  ((need + spare < free)) || fail "there is no room for the images: they need $((need / 1000000)) MB and $((spare / 1000000)) MB to spare, $((free / 1000000)) MB are free" \
    "" "Old images go with: handful prune. $old_serves"
}
spare=300000000
# layers_of NAME, parts_of NAME: lines VALUE,NUMBER.
layers_of() { below "$1" -; }
parts_of() { below "$1" +; }
below() { awk -v name="$1" -v mark="$2" '$1 !~ /^[-+]$/ { mine = $1 == name } mine && $1 == mark { print $2 "," $3 }' <<<"$images"; }

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

# right NAME: it has the layers that were sent. Docker was seen to report success on an image that is not whole.
right() {
  local wanted
  wanted=$(layers_of "$1" | cut -d , -f 1)
  [[ $(docker image inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' "$1" | sed '/^$/d') == "$wanted" ]]
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
here=$(known_images)
check_room
event fetching ''
while read -r name reference _; do
  [[ $name != [-+] ]] || continue
  fetch "$name" "$reference" || fail "the image $name could not be fetched" "$(last_said)" "$old_serves What has arrived is kept: try again."
  right "$name" || { docker rmi "$name" >/dev/null 2>&1 || true; fail "the image $name is not whole on this machine" "" "Its Docker kept a part of it that is broken: docker image prune, there, takes it away. Then try again."; }
done <<<"$images"
forget_leftovers
