# On the machine: as switch.bash, but as a deploy that can go back does it. Docker brings back the old instances until the new ones
# are known to run, and the new ones only from then on.
set -euo pipefail
image=$1
cd /srv/by_hand
docker image inspect "$image" >/dev/null &
docker network inspect by-hand >/dev/null
docker ps --all --quiet | xargs docker inspect >/dev/null
wait
generation=$(($(<generation) + 1))
first=$((generation % 2 * 2 + 1))
old=$(docker ps --quiet --filter label=by_hand.instance)

names=("by-hand-$generation-1" "by-hand-$generation-2")
for name in "${names[@]}"; do
  docker run --detach --name "$name" --label by_hand.instance --restart no --network by-hand \
    --env VERSION=17 --log-opt max-size=20m --log-opt max-file=5 "$image" >/dev/null &
done
wait

mapfile -t addresses < <(docker inspect --format '{{(index .NetworkSettings.Networks "by-hand").IPAddress}}' "${names[@]}")
for address in "${addresses[@]}"; do
  tries=0
  until curl --silent --fail --max-time 2 --output /dev/null "http://$address:8000/up"; do
    ((++tries < 300)) || exit 1
    sleep 0.05
  done
done

tell() {
  exec 5<>/dev/tcp/127.0.0.1/9999
  printf '%s\n' "$1" >&5
  cat <&5
  exec 5>&-
}
tell "set server web/s$first addr ${addresses[0]} port 8000; set server web/s$((first + 1)) addr ${addresses[1]} port 8000; \
set server web/s$first state ready; set server web/s$((first + 1)) state ready"
tell "show servers state web" >/dev/null
tell "set server web/s$(((first + 1) % 4 + 1)) state drain; set server web/s$(((first + 2) % 4 + 1)) state drain"

docker update --restart unless-stopped "${names[@]}" >/dev/null
[[ $(docker inspect --format '{{.State.Running}}' "${names[@]}" | sort -u) == true ]]
# shellcheck disable=SC2086  # one word per container
[[ -z $old ]] || docker update --restart no $old >/dev/null
printf %s "$generation" >generation
# shellcheck disable=SC2016,SC2086  # the inner shell's; one word per container
[[ -z $old ]] || setsid sh -c 'docker stop "$@" && docker rm "$@"' sh $old >/dev/null 2>&1 </dev/null 5>&- &
