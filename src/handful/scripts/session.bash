# Runs work.bash apart from the ssh connection, relays what it says, and ends it when the operator goes silent.
# Called as: session.bash FOLDER; the operator's heartbeat, a line every few seconds, comes on stdin.
set -uo pipefail
cd "$1" || exit 1
echo $$ >session
: >progress
HANDFUL_JSON=1 HANDFUL_SESSION=$PWD setsid bash ./work.bash >progress 2>errors </dev/null &
work=$!
echo "$work" >work
tail -s 0.02 -n +1 --pid="$work" -f progress &
relay=$!
{
  # A line is a heartbeat, or a word that the work waits for.
  while read -r -t "${HANDFUL_SILENCE:-30}" line; do [[ $line == . ]] || : >"told-${line//[^a-z0-9-]/}"; done
  : >silent
  # Once it has begun to switch, it finishes by itself, whatever becomes of the connection.
  # Its group is there once setsid has made it.
  [[ -e switching ]] || until kill -TERM -- "-$work" || ! kill -0 "$work"; do sleep 0.02; done
} <&0 2>/dev/null &
reader=$!
wait "$work"
wait "$relay"
kill "$reader" 2>/dev/null
tail -n 20 errors >&2
cd / && rm -rf -- "$1"
