# Waits until the operator says the word, which other machines wait for as well; at the word `back` all of them go back.
: "${word:?}"
# uses: prelude
[[ -n ${HANDFUL_SESSION:-} ]] || exit 0
cd "$HANDFUL_SESSION" || exit 1
event waits "" word "$word"
until [[ -e told-$word ]]; do
  [[ ! -e told-back ]] || fail "it was taken back with the other machines"
  if [[ -e silent ]] || ! kill -0 "$(<session)" 2>/dev/null; then
    # Nobody is left to say a word: what has begun to switch finishes by itself, and nothing else begins to.
    [[ -e switching ]] || fail "the operator is gone"
    break
  fi
  sleep 0.01
done
