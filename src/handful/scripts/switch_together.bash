# One release takes over here at the moment at which it does on the other machines: at the operator's word.
: "${stack:?}" "${app:?}" "${release:?}" "${word:?}"
# uses: prelude
bash "$root/stacks/$stack/apps/$app/releases/$release/run_app.bash" switch "$word" 9>&-
