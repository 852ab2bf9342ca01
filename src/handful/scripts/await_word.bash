# Waits for a word of the operator's, for which other machines wait as well.
: "${word:?}"
# uses: prelude lib_word
wait_for_word "$word"
