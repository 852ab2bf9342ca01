# Puts images of this machine into a registry, those layers that it lacks.
: "${server:?}" "${login:?}" "${images:?}"
# uses: prelude
# `login`: USER:PASSWORD in base64; `images`: lines NAME_HERE NAME_THERE.
docker_config=$(mktemp -d /run/handful.XXXXXX)
trap 'rm -rf "$docker_config"' EXIT
trap 'exit 130' TERM INT HUP
printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$server" "$login" >"$docker_config/config.json"
event fetching ''
while read -r here name; do
  docker tag "$here" "$server/$name" 2>/dev/null || fail "the image $here is not on this machine any more"
  said=$(DOCKER_CONFIG=$docker_config docker push --quiet "$server/$name" 2>&1) || {
    docker rmi "$server/$name" >/dev/null
    fail "the image $name could not be fetched from this machine" "$said"
  }
  docker rmi "$server/$name" >/dev/null
done <<<"$images"
