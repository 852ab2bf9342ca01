# One phase of a release: start, wait, switch, finish, release_command.
: "${stack:?}" "${app:?}" "${release:?}" "${phase:?}"
# uses: prelude
bash "$root/stacks/$stack/apps/$app/releases/$release/run_app.bash" "$phase" 9>&-
