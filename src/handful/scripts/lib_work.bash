# Around the steps of one deploy on this machine: the lock, history, and the way back when something fails.
# Needs stack, deploy and begun (the history line, JSON; empty: history is told nothing).

outcome=failed

# begin_work: takes the lock and writes down that the deploy has begun. `begun` without an end and without a lock is unfinished.
begin_work() {
  lock_stack
  trap end_work EXIT
  trap 'outcome=interrupted; exit 130' TERM INT HUP
  began=$(now) began_at=$(wall_clock)
  # For others who want to see how it goes on.
  [[ -z ${HANDFUL_SESSION:-} ]] || ln -sfn "$HANDFUL_SESSION" "$root/stacks/$stack/at_work"
  [[ -z $begun ]] || append_history <<<"$begun"
}

# Not a word of `$?` here: it reads 0 after SIGPIPE. The flag tells.
end_work() {
  trap - ERR
  # Nothing may break the way back.
  trap '' TERM INT HUP
  set +e
  [[ $outcome == 'done' ]] || go_back
  measure "$began_at"
  rm -f "$root/stacks/$stack/at_work"
  # shellcheck disable=SC2154  # deploy is set by the script around this
  [[ -z $begun ]] || printf '{"deploy":%d,"event":"ended","outcome":"%s","when":"%s","seconds":%s%s}\n' \
    "$deploy" "$outcome" "$(date -u +%FT%TZ)" "$(awk -v t=$(($(now) - began)) 'BEGIN { printf "%.2f", t / 100 }')" "$measured" |
    append_history || event failed "history could not be written" app ""
  event ended "" outcome "$outcome"
}

# Every app whose switch is under way goes back, the last one first; then what was placed or uploaded and never ran.
go_back() {
  local journal app_folder folder
  while read -r _ journal; do
    app_folder=${journal%/deploying}
    bash "$app_folder/$(content "$journal/release")/run_app.bash" revert 9>&- </dev/null
  done < <(for journal in "$root/stacks/$stack"/apps/*/deploying; do [[ ! -d $journal ]] || printf '%s %s\n' "$(content "$journal/started_at")" "$journal"; done | sort -rn)
  while read -r folder; do
    [[ -n $folder ]] || continue
    app_folder=${folder%/releases/*}
    grep -qsxF -- "${folder##*/}" "$app_folder/released" || rm -rf -- "$folder"
    rmdir -- "$app_folder/releases" 2>/dev/null
  done < <(content "${HANDFUL_SESSION:-/nonexistent}/uploaded"; echo)
  # In a shell of its own: a lock that is not to be had must not end the way back.
  (lock_machine && place_back && sync_names)
}

# What place_app wrote goes back; of an app or a stack that was not here before nothing stays but history.
place_back() {
  local before app_folder
  for before in "${HANDFUL_SESSION:-/nonexistent}"/placed/*/; do
    [[ -d $before ]] || continue
    app_folder=$root/stacks/$stack/apps/$(basename "$before")
    rm -f "$app_folder"/{number,instances,keep,hours,scaled}
    if [[ -e $app_folder/current || -s $app_folder/released ]]; then cp -- "$before"* "$app_folder" 2>/dev/null; else rm -rf -- "$app_folder"; fi
  done
  forget_network
}

# The network goes when no app of the stack is here or reached from here: who is let in at service addresses is told by its range.
# What Docker has not let go of yet, the next deploy finds and takes again.
forget_network() {
  [[ -z $(find "$root/stacks/$stack"/{apps,reach} -mindepth 1 -maxdepth 1 2>/dev/null) ]] || return 0
  rm -f "$root/stacks/$stack"/{last_address,subnet}
  docker network rm "handful-$stack" >/dev/null 2>&1 || true
}

# check_number NUMBER: fails when another app, of this stack or another, has it here. The machine's lock must be held.
check_number() {
  local file taken
  for file in "$root"/stacks/*/apps/*/number "$root"/stacks/*/reach/*; do
    [[ -e $file && $file != "$root/stacks/$stack/apps/$app/number" && $file != "$root/stacks/$stack/reach/$app" ]] || continue
    taken=$(head -n 1 "$file")
    [[ ${taken#number } != "$1" ]] || fail "number $1 of $app was taken by ${file#"$root/stacks/"} in the meantime" "" "Try again."
  done
}

# The names of a stack's apps are those that have a number here, or are reached on other machines: in the name server's folder
# and in /etc/hosts.
sync_names() {
  local lines block hosts=${HANDFUL_HOSTS:-/etc/hosts} mark="# handful: $stack"
  lines=$(names_of_stack; echo end) lines=${lines%end}
  mkdir -p "$root/names"
  if [[ -z $lines ]]; then
    rm -f "$root/names/$stack"
  elif [[ $(content "$root/names/$stack") != "${lines%$'\n'}" ]]; then
    # dnsmasq runs as a user of its own.
    printf '%s' "$lines" | put "$root/names/.$stack" && chmod 644 "$root/names/.$stack" && mv -T "$root/names/.$stack" "$root/names/$stack"
  fi
  block=${lines:+$mark$'\n'$lines$mark end}
  [[ $(marked 1) != "$block" ]] || return 0
  # /etc/hosts may be a mount: it is written in place, and only when there is room for all of it.
  { marked 0 && printf '%s' "${block:+$block$'\n'}"; } >"$hosts.handful" && cat "$hosts.handful" >"$hosts" ||
    fail "$hosts could not be written" "" "Is there disk left? See: df $hosts"
  rm -f "$hosts.handful"
}

# names_are_right: in both places.
names_are_right() {
  local lines hosts=${HANDFUL_HOSTS:-/etc/hosts} mark="# handful: $stack"
  lines=$(names_of_stack)
  [[ $(content "$root/names/$stack") == "$lines" && $(marked 1) == "${lines:+$mark$'\n'$lines$'\n'$mark end}" ]]
}

# names_of_stack: ADDRESS NAME, one to a line.
names_of_stack() {
  local file number app
  local -A numbers=()
  # Of one that is being learned, the file begins with a dot.
  for file in "$root/stacks/$stack"/reach/* "$root/stacks/$stack"/reach/.[a-z]*; do [[ ! -e $file ]] || numbers[$(basename "$file" | sed 's/^\.//')]=$(sed -n 's/^number //p' "$file"); done
  for file in "$root/stacks/$stack"/apps/*/number; do [[ ! -e $file ]] || numbers[$(basename "${file%/number}")]=$(<"$file"); done
  while read -r app; do
    [[ -n $app ]] || continue
    number=${numbers[$app]}
    printf '10.210.%d.%d %s.%s.internal\n' "$((number / 256))" "$((number % 256))" "$app" "$stack"
  done < <(printf '%s\n' "${!numbers[@]}" | sort)
}

# The lines of the stack's block of `hosts` (1), or all others (0).
marked() {
  awk -v wanted="$1" -v begin="$mark" -v end="$mark end" '$0 == begin { inside = 1 } inside == wanted { print } $0 == end { inside = 0 }' "$hosts"
}
