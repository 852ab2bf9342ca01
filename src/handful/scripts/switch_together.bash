# One release takes over here at the moment at which it does on the other machines: at the operator's word.
: "${stack:?}" "${app:?}" "${release:?}" "${word:?}"
# uses: prelude lib_word
run=$root/stacks/$stack/apps/$app/releases/$release/run_app.bash
# A release that came with an older handful does not wait by itself.
if ! grep -q '^wait_for_word()' "$run"; then
  wait_for_word "$word"
  word=
fi
bash "$run" switch "$word" 9>&-
