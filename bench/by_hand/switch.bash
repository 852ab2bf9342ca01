# On the machine: starts two instances of the image $1, switches the proxy to them, and lets the old ones stop by themselves.
set -euo pipefail
image=$1
cd /srv/by_hand
generation=$(($(<generation) + 1))
first=$((generation % 2 * 2 + 1))
old=$(docker ps --quiet --filter label=by_hand.instance)

names=("by-hand-$generation-1" "by-hand-$generation-2")
for name in "${names[@]}"; do
  docker run --detach --name "$name" --label by_hand.instance --restart unless-stopped --network by-hand \
    --env VERSION=17 --log-opt max-size=20m --log-opt max-file=5 "$image" >/dev/null
done

addresses=()
for name in "${names[@]}"; do
  address=$(docker inspect --format '{{(index .NetworkSettings.Networks "by-hand").IPAddress}}' "$name")
  tries=0
  until curl --silent --fail --max-time 2 --output /dev/null "http://$address:8000/up"; do
    ((++tries < 300)) || exit 1
    sleep 0.1
  done
  addresses+=("$address")
done

exec 5<>/dev/tcp/127.0.0.1/9999
{
  for index in 0 1; do
    printf 'set server web/s%d addr %s port 8000; set server web/s%d state ready; ' $((first + index)) "${addresses[$index]}" $((first + index))
  done
  printf 'set server web/s%d state drain; set server web/s%d state drain\n' $(((first + 1) % 4 + 1)) $(((first + 2) % 4 + 1))
} >&5
cat <&5

printf %s "$generation" >generation
# shellcheck disable=SC2016,SC2086  # the inner shell's; one word per container
[[ -z $old ]] || setsid sh -c 'docker stop "$@" && docker rm "$@"' sh $old >/dev/null 2>&1 </dev/null 5>&- &
