# Traffic goes from the old instances to the new ones.

# prepare_switch [reload]: works out what the switch will write, so that only a moment passes between its word and the first
# answer of a new instance. Folder `next` of the journal: before (the fragment as it is now), joining and switched (its next
# two texts); old and serving (addresses; of the old ones, some drain already); reload, when that is needed or asked for.
prepare_switch() {
  local slot new=() old=() serving=() kept count making=$journal/next.new
  rm -rf "$making" "$journal/next"
  mkdir "$making"
  mapfile -t kept < <(kept_addresses)
  count=$(slots_for "$(($(wc -l <"$journal/new") + ${#kept[@]}))")
  new_addresses
  know_subnet
  [[ ! -e $fragment ]] || cp -- "$fragment" "$making/before"
  read_slots
  for slot in "${!slot_mode[@]}"; do
    [[ ${slot_mode[$slot]} != disabled && " ${new[*]} ${kept[*]} " != *" ${slot_address[$slot]} "* ]] || continue
    old+=("${slot_address[$slot]}")
    [[ ${slot_mode[$slot]} != active ]] || serving+=("${slot_address[$slot]}")
  done
  give_slots backup "${new[@]}"
  if ((${#slot_mode[@]} > count)); then count=${#slot_mode[@]}; fi
  if [[ -n ${1:-} ]] || needs_reload "$count" || only_in_need "${new[@]}" || { ((${#domains[@]})) && [[ ! -e $conf/10-edge.cfg ]]; }; then
    : >"$making/reload"
  else
    count=$(count_slots)
  fi
  [[ -e $making/reload ]] || own_fragment "$count" >"$making/joining"
  give_slots active "${new[@]}"
  give_slots backup "${old[@]}"
  own_fragment "$count" >"$making/switched"
  one_per_line "${old[@]}" >"$making/old"
  one_per_line "${serving[@]}" >"$making/serving"
  mv -T "$making" "$journal/next"
}
# new_addresses: sets `new` to those of the instances that start, without starting a program.
new_addresses() {
  local address
  new=()
  while read -r _ address; do new+=("$address"); done <"$journal/new"
}
one_per_line() { (($# == 0)) || printf '%s\n' "$@"; }

# switch_traffic [reload]: as it was prepared, unless the app's slots have changed since: an older instance may have ended.
switch_traffic() {
  local next=$journal/next keys new old serving
  [[ -z ${1:-} && -e $next ]] && same "$next/before" "$fragment" || prepare_switch "${1:-}"
  new_addresses
  mapfile -t old <"$next/old"
  mapfile -t serving <"$next/serving"
  if [[ -e $next/reload ]]; then by_reload; else by_runtime; fi
}

# same FILE FILE: whether they have one content, found out without starting a program.
same() {
  local one='' other=''
  { IFS= read -r -d '' one <"$1"; IFS= read -r -d '' other <"$2"; } 2>/dev/null
  [[ $one == "$other" ]]
}

by_runtime() {
  mv -T -- "$next/joining" "$fragment"
  read_slots
  # Those that drain already may rest: a drain would wake them.
  join_slots "${new[@]}"
  leave_slots "${serving[@]}"
  point_current "releases/$release"
  put "$fragment" <"$next/switched"
  mapfile -t keys < <(wanted_routes)
  set_routes runtime "${keys[@]}"
  edge_is_right || { write_edge && reload_proxy; }
}

by_reload() {
  point_current "releases/$release"
  put "$fragment" <"$next/switched"
  read_slots
  mapfile -t keys < <(wanted_routes)
  set_routes disk "${keys[@]}"
  write_edge
  reload_proxy
  leave_slots "${old[@]}"
}

point_current() {
  ln -sfn "$1" "$app_folder/current.new"
  mv -T "$app_folder/current.new" "$app_folder/current"
}
