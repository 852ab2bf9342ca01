# Gives the proxy an app's part anew: instances, routes and settings as they are to be.
: "${stack:?}" "${app:?}"
# uses: prelude
bash "$root/stacks/$stack/apps/$app/current/run_app.bash" mend 9>&-
