# Starts this package's app on a machine that has Docker. handful is not needed for that.
: "${stack:?}" "${app:?}" "${release:?}" "${image:?}" "${port?}" "${network:?}" "${memory?}" "${cpus?}" "${health_kind:?}" "${health_path?}" "${health_host?}" "${health_every_ms:?}" "${health_within_ms:?}" "${stop_timeout:?}" "${needs_secrets?}"
# uses: prelude lib_instances lib_health lib_release
# The app listens at LISTEN (ADDRESS:PORT; 127.0.0.1 and the app's own port unless told) of the machine. Where handful runs this
# app already, it becomes a release of it instead, and takes over without downtime.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
folder=$here/release
(cd "$here" && sha256sum --check --quiet --strict checksums >/dev/null 2>&1) ||
  fail "a file of this package is not as it was made" "$(cd "$here" && sha256sum --check --quiet checksums 2>&1 || true)" "Copy the package again."
for secret in $needs_secrets; do
  [[ -e $folder/secrets/$secret ]] || fail "$app is given secrets, and a package holds none: $folder/secrets/$secret is missing" "" \
    "Variables are lines NAME=value in secrets/env, files stand in secrets/files; chmod 700 secrets."
done
docker image inspect "$image" >/dev/null 2>&1 || docker load --quiet <"$here/image.tar.gz" >/dev/null

# as_release: what handful would have sent; its own script does the rest.
as_release() {
  local target=$root/stacks/$stack/apps/$app/releases/$release
  if [[ ! -e $target/run_app.bash ]]; then
    rm -rf "$target.new"
    cp -r --preserve=mode "$folder" "$target.new"
    ready_upload "$target.new"
    mv -T "$target.new" "$target"
  fi
  exec bash "$target/run_app.bash"
}
[[ ! -L $root/stacks/$stack/apps/$app/current ]] || as_release

# Two cannot listen at once: the old one stops, and comes back when the new one does not get healthy.
survey
mapfile -t old < <(awk -v app="$stack/$app/" 'index($4, app) == 1 { print $1 }' <<<"$surveyed")
name=$(free_names 1)
go_back() {
  [[ -z $name ]] || docker rm --force "$name" >/dev/null 2>&1 || true
  ((${#old[@]} == 0)) || docker start "${old[@]}" >/dev/null
}
trap go_back EXIT
((${#old[@]} == 0)) || docker stop -t "$stop_timeout" "${old[@]}" >/dev/null
# Not handful's own name: its network has a range of its own, and instances on addresses in it.
docker network inspect "handful-$stack-package" >/dev/null 2>&1 || docker network create "handful-$stack-package" >/dev/null
find "$folder/files" -type f -exec chmod 444 {} + 2>/dev/null || true
# shellcheck disable=SC2034  # common_options reads it
alone=yes started_at=$(now)
common_options
place=()
[[ -z $port || $network == host ]] || place=(--publish "${LISTEN:-127.0.0.1:$port}:$port")
said=$(docker_run --detach --name "$name" --restart unless-stopped --label "handful.instance=${name#"$stack".}" \
  --env "HANDFUL_INSTANCE=${name#"$stack".}" --stop-timeout "$stop_timeout" "${place[@]}" "${common[@]}" "$image" "${command[@]}" 2>&1 >/dev/null) ||
  fail "${name#"$stack".} could not be started" "$said"
address=127.0.0.1
[[ $network == host ]] || address=$(docker inspect --format "{{(index .NetworkSettings.Networks \"handful-$stack-package\").IPAddress}}" "$name")
wait_healthy "$name" "$address" "$((started_at + health_within_ms / 10))"
trap - EXIT
((${#old[@]} == 0)) || docker rm "${old[@]}" >/dev/null
event started "$app runs $release${place[1]:+ at ${place[1]%:*}}"
