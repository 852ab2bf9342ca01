# Old instances go: once nobody is served by them any more, apart from the deploy that replaced them.

# drain_apart ID...: they drain by themselves, whatever becomes of this script and of ssh.
drain_apart() {
  local turn
  (($#)) || return 0
  turn=$(content "$app_folder/drains")
  turn=$((${turn:-0} + 1))
  put "$app_folder/drains" <<<"$turn"
  # Through a descriptor: the folder may be gone before bash has opened the file.
  exec 7<"$folder/run_app.bash"
  setsid bash /dev/fd/7 drain "$turn" "$@" </dev/null >/dev/null 2>&1 3>&- 8>&- 9>&- &
  exec 7<&-
}

# phase_drain TURN ID...: until nobody is served any more; who is, until drain_timeout is over, or two more generations have begun to drain.
phase_drain() {
  local turn=$1 begun deadline addresses images image pause=0.2
  shift
  # Whatever the proxy says, the instances end.
  trap - ERR
  set +e
  begun=$(now) deadline=$(($(now) + drain_timeout * 100))
  survey
  mapfile -t addresses < <(addresses_of "$@")
  if [[ -n $port && $network != host ]]; then
    while serves "${addresses[@]}"; do
      sleep "$pause"
      # Each look starts a dozen programs: a long drain is looked at seldom.
      (($(now) < begun + 200)) || pause=1
    done
  fi
  (lock_machine && rest_slots "${addresses[@]}")
  mapfile -t images < <(docker inspect --format '{{.Config.Image}}' "$@" 2>/dev/null | sort -u)
  stop_instances "$@"
  for image in "${images[@]}"; do forget_image "$image"; done
  (lock_machine && free_on_disk '^backup$' "${addresses[@]}")
}

# latest TURN: whether fewer than two generations have begun to drain since.
latest() {
  local drains
  drains=$(content "$app_folder/drains")
  ((${drains:-0} < $1 + 2))
}

# serves ADDRESS...: whether somebody may still be served by them. A worker that a reload has left behind takes no commands (tried, 2.6):
# who idles there since then comes back to these instances, until the proxy closes connections that idle, after 75 s. So they stay
# for those however many deploys follow; what is under way is ended by the third.
serves() {
  if busy "$@"; then
    latest "$turn" && (($(now) < deadline))
  else
    (($(now) < begun + 8000 && $(workers | wc -l) > 1))
  fi
}

# busy ADDRESS...: whether the proxy has a connection to one of them. Slots are looked up anew: another may have got one.
busy() {
  local address slot slots=()
  read_slots
  for address in "$@"; do find_slot "$address" && slots+=("$slot"); done
  (($(connections "${slots[@]}") > 0))
}
