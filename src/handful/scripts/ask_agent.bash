# Asks the agent for what it has kept or measures: its answer, lines of JSON, goes to stdout. It ends when stdin does.
: "${words:?}"
# uses: prelude
# `words`: an array, the agent's own command line.
if [[ $(docker inspect --format '{{.State.Running}}' handful-agent 2>/dev/null || true) == true ]]; then
  exec docker exec --interactive handful-agent python3 -m handful.agent "${words[@]}" --attended
fi
type -P docker >/dev/null && docker version >/dev/null 2>&1 || [[ ! -e $root/machine.json ]] || fail "Docker does not answer" "" "Start it there: systemctl restart docker"
image=$(docker inspect --format '{{.Config.Image}}' handful-agent 2>/dev/null || true)
if [[ -n $image ]]; then
  # It does not run now; what it has kept can be read all the same.
  exec docker run --rm --interactive --log-driver none --memory 256m --network host --pid host --cgroupns host --cap-drop ALL --read-only \
    --volume /:/host:ro --volume "$root/logs:/logs:ro" --env "HANDFUL_SEEN=/host$root /host$(docker info --format '{{.DockerRootDir}}')/containers" \
    "$image" "${words[@]}" --attended
fi
# Nobody has set this machine up: nothing has run here.
[[ -e $root/machine.json ]] || { echo '{"now":"","apps":[],"gone":{}}' && exit 0; }
fail "there is no agent on this machine" "" "Bring the machine's parts up to date: handful apply"
