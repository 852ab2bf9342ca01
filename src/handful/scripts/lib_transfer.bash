# Around a transfer of images: a login of its own, and an end when the operator is gone.

# begin_transfer: `docker_config` is a folder for a login that goes with the transfer. The operator's heartbeat, a line every few
# seconds, comes on stdin: when it is silent, so is the registry, and nobody would come back for what Docker goes on trying.
begin_transfer() {
  docker_config=$(mktemp -d /run/handful.XXXXXX)
  watcher='' working=''
  trap 'rm -rf "$docker_config"; kill $watcher $working 2>/dev/null || true' EXIT
  trap 'exit 130' TERM INT HUP
  {
    while read -r -t "${HANDFUL_SILENCE:-30}" _; do :; done
    kill -TERM $$
  } <&0 2>/dev/null &
  watcher=$!
}

# use_login SERVER LOGIN: docker is let in there, with USER:PASSWORD in base64, until the transfer ends.
use_login() {
  local server=${1%%/*}
  # Docker's own name for its hub.
  [[ $server != docker.io ]] || server=https://index.docker.io/v1/
  printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$server" "$2" >"$docker_config/config.json"
  export DOCKER_CONFIG=$docker_config
}

# awaited COMMAND...: runs it, with its words in a file `said`. Bash hears of a signal only between programs, and while it waits.
awaited() {
  "$@" <&0 >"$docker_config/said" 2>&1 &
  working+=" $!"
  wait "$!"
}
last_said() { tail -n 10 "$docker_config/said"; }
