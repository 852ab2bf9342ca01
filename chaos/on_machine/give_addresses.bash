# Removes the containers of take_addresses.bash.
docker ps -aq --filter label=chaos=1 | xargs -r docker rm >/dev/null
