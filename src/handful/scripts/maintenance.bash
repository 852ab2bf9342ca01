# Puts an app's public traffic on a page of its own, at once (page: its text in base64), or back (page empty).
: "${stack:?}" "${app:?}" "${page?}"
# uses: prelude lib_fragment lib_proxy
app_paths
lock_machine
set_maintenance "$page"
if [[ -n $page ]]; then event maintenance "$app is away for maintenance" app "$app"; else event maintenance "$app is back" app "$app"; fi
