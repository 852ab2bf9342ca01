# One phase of a release: release_command, start, wait, switch, promote, finish.
: "${stack:?}" "${app:?}" "${release:?}" "${phase:?}"
# uses: prelude
bash "$root/stacks/$stack/apps/$app/releases/$release/run_app.bash" "$phase" 9>&-
