# Which of these ports take a connection from this machine? A line for each that does. Changes nothing.
: "${address:?}" "${ports:?}"
# uses: prelude
# `ports`: an array. All are tried at once; who says nothing for two seconds is closed.
# shellcheck disable=SC2016  # the inner shell's
for port in "${ports[@]}"; do
  { timeout 2 bash -c 'exec 7<>"/dev/tcp/$1/$2"' bash "$address" "$port" 2>/dev/null && printf '%s\n' "$port" || true; } &
done
wait
