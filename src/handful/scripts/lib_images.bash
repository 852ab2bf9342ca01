# What is known of images that are on their way here, and of those that are here.
# `images`: lines NAME REFERENCE BYTES (unpacked; 0: nobody knows), and below each its parts, lines `+ REFERENCE COUNT` (an image
# of so many of its lowest layers), and its layers, lines `- DIFF_ID BYTES` (packed; 0: nobody knows).
old_serves='The old release still serves.'

# The diff ids of each image of this machine, one image to a line. check_room keeps them in `here`.
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

# check_room TIMES: what is missing must fit, packed and so many times unpacked, with something to spare.
check_room() {
  local times=$1 name bytes layer layers need=0 packed missing held count free
  here=$(known_images)
  while read -r name _ bytes; do
    [[ $name != [-+] ]] || continue
    mapfile -t layers < <(layers_of "$name")
    packed=0
    for layer in "${layers[@]}"; do packed=$((packed + ${layer#*,})); done
    read -r missing held count < <(missing_bytes "${layers[@]}")
    # A registry that tells no sizes: by the number of layers.
    ((packed > 0)) || missing=0
    if ((packed > 0)); then bytes=$((bytes * (missing / 1024) / (packed / 1024 + 1))); else bytes=$((bytes * (count - held) / (count > 0 ? count : 1))); fi
    need=$((need + missing + times * bytes))
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

# right NAME: it has the layers that were sent. Docker was seen to report success on an image that is not whole.
right() {
  local wanted
  wanted=$(layers_of "$1" | cut -d , -f 1)
  [[ $(docker image inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' "$1" | sed '/^$/d') == "$wanted" ]]
}

# need_right NAME: or it has that name no more.
need_right() {
  right "$1" || { docker rmi "$1" >/dev/null 2>&1 || true; fail "the image $1 is not whole on this machine" "" "Its Docker kept a part of it that is broken: docker image prune, there, takes it away. Then try again."; }
}
