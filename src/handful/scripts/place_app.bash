# Writes down an app's number (empty: it has no port) and how many instances and old releases it has here; names follow.
: "${stack:?}" "${app:?}" "${number?}" "${instances:?}" "${keep:?}"
# uses: prelude lib_work
lock_machine
if [[ -n $number ]]; then
  for file in "$root"/stacks/*/apps/*/number; do
    [[ -e $file && $file != "$root/stacks/$stack/apps/$app/number" ]] || continue
    [[ $(<"$file") != "$number" ]] || fail "number $number of $app was taken by ${file#"$root/stacks/"} in the meantime" "" "Try again."
  done
fi
mkdir -p "$root/stacks/$stack/apps/$app/releases"
if [[ -n $number ]]; then
  put "$root/stacks/$stack/apps/$app/number" <<<"$number"
else
  rm -f "$root/stacks/$stack/apps/$app/number"
fi
put "$root/stacks/$stack/apps/$app/instances" <<<"$instances"
put "$root/stacks/$stack/apps/$app/keep" <<<"$keep"
sync_names
