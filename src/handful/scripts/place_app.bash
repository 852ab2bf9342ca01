# Writes down an app's number (empty: it has no port) and how many instances and old releases it has here; names follow.
: "${stack:?}" "${app:?}" "${number?}" "${instances:?}" "${keep:?}"
# uses: prelude lib_work
lock_machine
[[ -z $number ]] || check_number "$number"
app_folder=$root/stacks/$stack/apps/$app
# What was there before, for the way back.
mkdir -p "$app_folder/releases" "$HANDFUL_SESSION/placed/$app"
for file in "$app_folder"/{number,instances,keep,hours,scaled}; do [[ ! -e $file ]] || cp "$file" "$HANDFUL_SESSION/placed/$app"; done
if [[ -n $number ]]; then put "$app_folder/number" <<<"$number"; else rm -f "$app_folder/number"; fi
put "$app_folder/instances" <<<"$instances"
put "$app_folder/keep" <<<"$keep"
sync_names
