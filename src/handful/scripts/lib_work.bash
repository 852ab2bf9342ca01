# Around the steps of one deploy on this machine: the lock, history, and the way back when something fails.
# Needs stack, deploy and begun (the history line, JSON).

outcome=failed

# begin_work: takes the lock and writes down that the deploy has begun. `begun` without an end and without a lock is unfinished.
begin_work() {
  lock_stack
  trap end_work EXIT
  trap 'outcome=interrupted; exit 130' TERM INT HUP
  began=$(now)
  printf '%s\n' "$begun" >>"$root/stacks/$stack/history.jsonl"
}

# Not a word of `$?` here: it reads 0 after SIGPIPE. The flag tells.
end_work() {
  trap - ERR
  # Nothing may break the way back.
  trap '' TERM INT HUP
  set +e
  [[ $outcome == 'done' ]] || go_back
  # shellcheck disable=SC2154  # deploy is set by the script around this
  printf '{"deploy":%d,"event":"ended","outcome":"%s","when":"%s","seconds":%s}\n' \
    "$deploy" "$outcome" "$(date -u +%FT%TZ)" "$(awk -v t=$(($(now) - began)) 'BEGIN { printf "%.2f", t / 100 }')" \
    >>"$root/stacks/$stack/history.jsonl" || event failed "history could not be written" app ""
  event ended "" outcome "$outcome"
}

# Every app whose switch is under way goes back, the last one first; then what was uploaded and never ran is removed.
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
    [[ -e $app_folder/current || -s $app_folder/released ]] || rm -rf -- "$app_folder"
  done < <(content "${HANDFUL_SESSION:-/nonexistent}/uploaded"; echo)
  # In a shell of its own: a lock that is not to be had must not end the way back.
  (lock_machine && sync_names)
}

# The names of a stack's apps are those of its folders that hold a number: in the name server's folder and in /etc/hosts.
sync_names() {
  local file number app lines='' block hosts=${HANDFUL_HOSTS:-/etc/hosts} mark="# handful: $stack"
  for file in "$root/stacks/$stack"/apps/*/number; do
    [[ -e $file ]] || continue
    number=$(<"$file") app=$(basename "${file%/number}")
    lines+="10.210.$((number / 256)).$((number % 256)) $app.$stack.internal"$'\n'
  done
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

# The lines of the stack's block of `hosts` (1), or all others (0).
marked() {
  awk -v wanted="$1" -v begin="$mark" -v end="$mark end" '$0 == begin { inside = 1 } inside == wanted { print } $0 == end { inside = 0 }' "$hosts"
}
