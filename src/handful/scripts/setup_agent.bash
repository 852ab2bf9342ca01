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
docker run --detach --name handful-agent --restart always --network host --pid host --cgroupns host --label handful.part=agent \
  --log-driver json-file --log-opt max-size=20m --log-opt max-file=5 --memory 96m --memory-swap 96m --cap-drop ALL --security-opt no-new-privileges --read-only \
  --volume "/:/host:ro$passed" --volume "$root/logs:/logs" "$image" collect --root "/host$root" --containers "/host$docker_root/containers" >/dev/null
deadline=$(($(now) + 1000))
# It has begun when it holds its lock.
until [[ -e $root/logs/.agent/lock ]] && ! flock --nonblock "$root/logs/.agent/lock" true; do
  (($(now) < deadline)) || fail "the agent did not start in 10 s" "$(docker logs --tail 10 handful-agent 2>&1)" "See: docker logs handful-agent"
  sleep 0.05
done
event setup "the agent runs"
