# Removes the images of all releases but the one that runs, as somebody does who needs room.
: "${stack:?}"
current=$(sed -n 's/^image=//p' "/var/lib/handful/stacks/$stack/apps/web/current/run_app.bash")
docker images --format '{{.Repository}}:{{.Tag}}' | grep "^handful/$stack/web:" | grep -vxF "$current" | xargs -r docker rmi -f >/dev/null
