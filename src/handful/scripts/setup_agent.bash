# Runs the agent: it keeps what containers say, and measures what they use. It sees all of the machine, and changes nothing of it.
: "${image:?}"
# uses: prelude
mkdir -p "$root/logs"
chmod 700 "$root/logs"
if [[ $(docker inspect --format '{{.Config.Image}} {{.State.Running}}' handful-agent 2>/dev/null || true) == "$image true" ]]; then exit 0; fi
# Asked to end, it writes down how far it has read; the next one goes on from there.
docker stop --time 10 handful-agent >/dev/null 2>&1 || true
docker rm --force handful-agent >/dev/null 2>&1 || true
# What is mounted later on is seen only where the root passes it on.
passed=
[[ $(findmnt --noheadings --output PROPAGATION / || true) != *shared* ]] || passed=,rslave
docker_root=$(docker info --format '{{.DockerRootDir}}')
# Apps are deployed all the same: only this says that nothing is kept, and `handful doctor`.
without() {
  event setup "the agent did not start, and no logs are kept: $(tail -n 3 <<<"$1")"
  event setup "see there: docker logs handful-agent. When it is mended: handful apply"
  exit 0
}
said=$(docker run --detach --name handful-agent --restart always --network host --pid host --cgroupns host --label handful.part=agent \
  --log-driver json-file --log-opt max-size=20m --log-opt max-file=5 --log-opt compress=false --memory 96m --memory-swap 96m --cap-drop ALL --security-opt no-new-privileges --read-only \
  --volume "/:/host:ro$passed" --volume "$root/logs:/logs" --env "HANDFUL_SEEN=/host$root /host$docker_root/containers" \
  "$image" collect 2>&1) || without "$said"
deadline=$(($(now) + 1000))
# It has begun when it holds its lock.
until [[ -e $root/logs/.agent/lock ]] && ! flock --nonblock "$root/logs/.agent/lock" true; do
  (($(now) < deadline)) || without "$(docker logs --tail 3 handful-agent 2>&1)"
  sleep 0.05
done
event setup "the agent runs"
