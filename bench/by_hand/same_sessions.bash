# On the operator's computer: for each machine $@ the sessions that handful opens, with the same scripts, side by side.
# NAME.look, NAME.tar and NAME.words are what it would send there, and `unpack` is how it unpacks a tar and runs session.bash of it.
set -euo pipefail
# side_by_side COMMAND MACHINE...: COMMAND MACHINE for each.
side_by_side() {
  local command=$1 machine processes=() process
  shift
  for machine in "$@"; do
    "$command" "$machine" &
    processes+=("$!")
  done
  for process in "${processes[@]}"; do wait "$process"; done
}
look() { ssh -F ssh_config "$1" bash -s <"$1.look" >/dev/null; }
# The session lasts as long as its standard input, which is a pipe that somebody holds open.
work() {
  local cat
  mkfifo "$1.pipe"
  exec 7<>"$1.pipe"
  cat "$1.tar" "$1.words" >"$1.pipe" &
  cat=$!
  ssh -F ssh_config "$1" "$(<unpack)" <"$1.pipe" >/dev/null
  wait "$cat"
  rm "$1.pipe"
}
side_by_side look "$@"
[[ ! -e $1.tar ]] || side_by_side work "$@"
