# Tells of the requests that came in here within the last seconds, for apps that run elsewhere, and writes it to the deploy's history.
: "${stack:?}" "${deploy:?}" "${apps:?}" "${seconds:?}"
# uses: prelude lib_measure
HANDFUL_SESSION=$(mktemp -d)
trap 'rm -rf "$HANDFUL_SESSION"' EXIT
for app in $apps; do : >"$HANDFUL_SESSION/measured-$app"; done
measure "$(($(wall_clock) - seconds * 1000))"
[[ -z $measured ]] || printf '{"deploy":%d,"event":"counted"%s}\n' "$deploy" "$measured" | append_history
