# Writes down when an app has how many instances (hours empty: always as many as placed), and keeps to it without anybody.
: "${stack:?}" "${app:?}" "${hours?}" "${scaled?}"
# uses: prelude
# hours: lines DAYS FROM TO COUNT (days 1 to 7, Monday first; minutes of the day, by the machine's clock), then: default COUNT.
# scaled: COUNT UNTIL (seconds since 1970), which comes before the hours until then.
app_folder=$root/stacks/$stack/apps/$app
folder=${HANDFUL_ETC:-/etc}
if [[ -n $hours ]]; then put "$app_folder/hours" <<<"$hours"; else rm -f "$app_folder/hours"; fi
rm -f "$app_folder/hours_failed"
if [[ -n $scaled ]]; then put "$app_folder/scaled" <<<"$scaled"; else rm -f "$app_folder/scaled"; fi
put "$root/hours.bash" <<'HOURS'
# handful: each minute, every app with hours gets as many instances as they ask for now. Run by handful-hours.timer.
cd "$(dirname "$0")/stacks" || exit 0
printf -v clock '%(%u %H %M %s)T' -1
read -r day hour minute seconds <<<"$clock"
minute=$((10#$hour * 60 + 10#$minute))
for file in */apps/*/hours; do
  app_folder=${file%/hours}
  [[ -e $app_folder/current && ! -e $app_folder/stopped && ! -e $app_folder/deploying ]] || continue
  # What has failed is tried again after ten minutes: until then deploys can have the lock.
  failed=$(cat "$app_folder/hours_failed" 2>/dev/null)
  ((seconds > ${failed:-0} + 600)) || continue
  wanted=
  if read -r count until 2>/dev/null <"$app_folder/scaled"; then
    if ((seconds < until)); then wanted=$count; else rm -f "$app_folder/scaled"; fi
  fi
  [[ -n $wanted ]] || wanted=$(awk -v day="$day" -v minute="$minute" '
    $1 == "default" || (index($1, day) && minute >= $2 && minute < $3) { print $NF; exit }' "$file")
  if [[ -n $wanted && $wanted != "$(<"$app_folder/instances")" ]]; then
    if bash "$app_folder/current/run_app.bash" scale_to "$wanted"; then rm -f "$app_folder/hours_failed"; else echo "$seconds" >"$app_folder/hours_failed"; fi
  elif [[ ! -e $app_folder/scaled && $(<"$file") == "default "* ]]; then
    # There was no more to it than a time, which is over.
    rm -f "$file"
  fi
done
HOURS
sha256sum <"$root/hours.bash" | put "$root/hours.sum"
mkdir -p "$folder/systemd/system"
put "$folder/systemd/system/handful-hours.service" <<UNIT
[Unit]
Description=handful: as many instances as the hour asks for

[Service]
Type=oneshot
# What it has to let drain goes on by itself.
KillMode=process
ExecStart=/bin/bash $root/hours.bash
UNIT
put "$folder/systemd/system/handful-hours.timer" <<'UNIT'
[Unit]
Description=handful: each minute

[Timer]
OnCalendar=*:*:00
AccuracySec=1s

[Install]
WantedBy=timers.target
UNIT
chmod 644 "$folder"/systemd/system/handful-hours.{service,timer}
systemctl daemon-reload
# It stays when no app has hours any more: it looks and finds nothing to do.
systemctl --quiet enable --now handful-hours.timer
