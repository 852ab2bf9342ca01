# Waits until this machine serves as it did, after it was started: Docker answers, and what is to run does.
: "${seconds:?}"
# uses: prelude lib_proxy
deadline=$(($(now) + seconds * 100))
# Those that Docker brings back, and that do not run.
away() {
  local ids=()
  mapfile -t ids < <(docker ps --all --quiet --filter label=handful.stack 2>/dev/null; docker ps --all --quiet --filter label=handful.part 2>/dev/null)
  ((${#ids[@]} == 0)) ||
    docker inspect --format '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}} {{.Name}}' "${ids[@]}" | awk '$1 == "false" && $2 != "no" { print substr($3, 2) }'
}
until docker version >/dev/null 2>&1; do
  (($(now) < deadline)) || fail "Docker does not answer $seconds s after the start" "" "See there: systemctl status docker"
  sleep 0.2
done
until [[ -z $(away) ]] && { [[ ! -e $root/proxy/run ]] || proxy_up; }; do
  (($(now) < deadline)) || fail "not all that is to run here does, $seconds s after the start" "$(away)" "See: handful status"
  sleep 0.2
done
event back "it serves as it did"
