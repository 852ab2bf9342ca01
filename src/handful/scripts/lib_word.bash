# Machines of one deploy wait for one another: the operator tells all of them when all are ready.

# wait_for_word WORD: until the operator says it; at the word `back` all go back. By hand there is nobody to wait for.
wait_for_word() {
  local word=$1 here=${HANDFUL_SESSION:-} session nothing
  [[ -n $here ]] || return 0
  session=$(<"$here/session")
  # Nobody writes to it: reading from it waits without starting a program, of which there would be 200 a second.
  exec {nothing}<> <(:)
  event waits "" word "$word"
  until [[ -e $here/told-$word ]]; do
    [[ ! -e $here/told-back ]] || fail "it was taken back with the other machines"
    if [[ -e $here/silent ]] || ! kill -0 "$session" 2>/dev/null; then
      # Nobody is left to say a word: what has begun to switch finishes by itself, and nothing else begins to.
      [[ -e $here/switching ]] || fail "the operator is gone"
      break
    fi
    read -r -t 0.005 -u "$nothing" || true
  done
  exec {nothing}<&-
}
