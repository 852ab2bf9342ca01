# What was changed here by hand since the last deploy, and the way back.

# phase_drift: a line for each: `file NAME` of the release; `hours` when nobody keeps them, or not in the way that was written
# down; `traffic` when the proxy's part of the app is not as it is to be.
phase_drift() {
  edited "$folder"
  [[ ! -s $app_folder/hours ]] || hours_are_kept || echo hours
  [[ -z $port || $network == host || -e $app_folder/stopped ]] || traffic_is_right || echo traffic
}

# edited FOLDER: the files that differ from FOLDER's checksums, or are there besides, as `file NAME`.
edited() {
  [[ -e $1/checksums ]] || return 0
  (cd "$1" && find . -type f ! -name checksums -exec sha256sum {} + | sort) | comm -3 - <(sort "$1/checksums") |
    sed 's/^\t*[0-9a-f]*  \.\//file /' | sort -u
}

hours_are_kept() { systemctl --quiet is-active handful-hours.timer && [[ -s $root/hours.sum && $(sha256sum <"$root/hours.bash") == "$(content "$root/hours.sum")" ]]; }

traffic_is_right() {
  local addresses
  [[ -e $fragment ]] && settings_are_right || return 1
  [[ $(present_routes | sort) == "$(wanted_routes | sort)" ]] || return 1
  survey
  addresses=$(serving | awk '{ print $2 }' | sort)
  [[ $(active_addresses "$fragment" | sort) == "$addresses" ]] || return 1
  # The running proxy may have been told otherwise. Another worker's slots, and those that drain, are nobody's business.
  comm -23 <(own_slots "$fragment" | awk 'NF == 3 { split($3, at, ":"); print $2, at[1] }' | sort) \
    <(proxy_say admin "show servers state $stack.$app" | awk '$7 == 0 || $7 == 4 { print $4, $5 }' | sort) | { ! grep -q .; }
}

# phase_mend: files and running proxy by what serves here.
phase_mend() {
  local addresses keys fragment_before routes_before
  [[ -n $port && $network != host ]] || return 0
  fragment_before=$(content "$fragment") routes_before=$(content "$routes")
  survey
  know_subnet
  mapfile -t addresses < <(serving | awk '{ print $2 }')
  lock_machine
  # shellcheck disable=SC2034  # lib_fragment reads them
  declare -gA slot_address=() slot_mode=()
  give_slots active "${addresses[@]}"
  write_fragment "$(slots_for "${#addresses[@]}")"
  mapfile -t keys < <(wanted_routes)
  drop_routes disk "${keys[@]}"
  claim_routes "${keys[@]}"
  write_edge
  (reload_mended "$fragment_before" "$routes_before") || { restore_traffic "$fragment_before" "$routes_before"; exit "$said_why"; }
  unlock_machine
  event mended "the proxy's part of $app is as it is to be" app "$app"
}
