# Everything there is to know about this machine, as one JSON document on stdout. Changes nothing.
: "${stack:?}"
# uses: prelude lib_proxy

# The document alone goes to stdout.
exec 3>&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A file's content as a JSON string; null when there is none.
file_json() { if [[ -f $1 ]]; then json_string "$(tr -d '\000' <"$1")"; else printf null; fi; }

# Lines on stdin as a JSON list of strings.
lines_json() {
  local line separator=
  printf '['
  while IFS= read -r line || [[ -n $line ]]; do printf '%s%s' "$separator" "$(json_string "$line")" && separator=,; done
  printf ']'
}

# JSON documents on stdin, one to a line, as a JSON list.
join_json() { printf '[%s]' "$(paste -sd,)"; }

containers() {
  local ids
  mapfile -t ids < <(docker ps --all --quiet --no-trunc || true)
  ((${#ids[@]})) || return 0
  docker inspect --format '{"name":{{json .Name}},"image":{{json .Config.Image}},"image_id":{{json .Image}},"labels":{{json .Config.Labels}},"running":{{json .State.Running}},"exit_code":{{json .State.ExitCode}},"started":{{json .State.StartedAt}},"finished":{{json .State.FinishedAt}},"restarts":{{json .RestartCount}},"restart":{{json .HostConfig.RestartPolicy.Name}},"host_network":{{eq .HostConfig.NetworkMode "host"}},"networks":{{json .NetworkSettings.Networks}},"pid":{{json .State.Pid}}}' "${ids[@]}" 2>/dev/null || true
}

# Docker's answers are asked for side by side; each is slow, none needs another.
ask_docker() {
  containers >"$work/containers" 2>/dev/null &
  docker images --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' >"$work/images" 2>/dev/null || true &
  docker version --format '{{.Server.Version}}' >"$work/version" 2>"$work/trouble" || : >"$work/version"
  wait
}

app_json() {
  local folder=$1 release separator=
  printf '{"number":%s,"instances":%s,"current":%s,"stopped":%s,"deploying":%s,"switched":%s,"released":%s,"releases":{' \
    "$(number_json "$folder/number")" "$(number_json "$folder/instances")" \
    "$(json_string "$(basename "$(readlink "$folder/current" || true)")")" \
    "$([[ -e $folder/stopped ]] && printf true || printf false)" "$(file_json "$folder/deploying/release")" \
    "$([[ -e $folder/deploying/switched ]] && printf true || printf false)" "$(content "$folder/released" | lines_json)"
  for release in "$folder"/releases/*/release.json; do
    [[ -f $release ]] || continue
    printf '%s%s:%s' "$separator" "$(json_string "$(basename "$(dirname "$release")")")" "$(file_json "$release")"
    separator=,
  done
  printf '}}'
}

number_json() { if [[ $(content "$1") =~ ^[0-9]+$ ]]; then content "$1"; else printf null; fi; }

# Locked means: somebody holds the lock now. What the lock's file says is left over when nobody does.
holder_json() {
  local lock=$1/lock
  if [[ -e $lock ]] && ! flock -n "$lock" true; then file_json "$lock"; else printf null; fi
}

stack_json() {
  local folder=$1 app between=
  printf '{"holder":%s,"names":%s,"history":%s,"apps":{' "$(holder_json "$folder")" \
    "$(file_json "$root/names/$(basename "$folder")")" \
    "$( if [[ $(basename "$folder") == "$stack" ]]; then tail -n 400 "$folder/history.jsonl" 2>/dev/null | lines_json; else printf '[]'; fi)"
  for app in "$folder"/apps/*/; do
    [[ -d $app ]] || continue
    printf '%s%s:%s' "$between" "$(json_string "$(basename "$app")")" "$(app_json "${app%/}")"
    between=,
  done
  printf '}}'
}

stacks_json() {
  local folder separator=
  printf '{'
  for folder in "$root"/stacks/*/; do
    [[ -d $folder ]] || continue
    printf '%s%s:%s' "$separator" "$(json_string "$(basename "$folder")")" "$(stack_json "${folder%/}")"
    separator=,
  done
  printf '}'
}

fragments_json() {
  local file separator=
  printf '{'
  for file in "$root"/proxy/conf/*.cfg "$root"/proxy/conf/routes.map; do
    [[ -f $file ]] || continue
    printf '%s%s:%s' "$separator" "$(json_string "$(basename "$file")")" "$(file_json "$file")"
    separator=,
  done
  printf '}'
}

slots_json() { { proxy_say admin "show servers state" 2>/dev/null || true; } | lines_json; }

disk_json() {
  local total free
  read -r total free < <(df --output=size,avail --block-size=1 "$1" 2>/dev/null | tail -n 1) || true
  printf '{"path":%s,"total":%s,"free":%s}' "$(json_string "$1")" "${total:-0}" "${free:-0}"
}

memory() { awk -v key="$1:" '$1 == key { printf "%d", $2 * 1024 }' /proc/meminfo; }
# shellcheck source=/dev/null
from_os() { (. /etc/os-release && printf '%s' "${!1:-}"); }

ask_docker
stored=$root
[[ -d $stored ]] || stored=/var/lib
# Docker's own folder may be a disk of its own; when it was moved elsewhere, that one is not seen.
docker_root=/var/lib/docker
[[ -d $docker_root ]] || docker_root=/var/lib
printf '{"format":1,"hostname":%s,"os":%s,"kernel":%s,"architecture":%s,"clock":%s,"up":%s,' \
  "$(json_string "$(uname -n)")" "$(json_string "$(from_os ID) $(from_os VERSION_ID)")" "$(json_string "$(uname -r)")" \
  "$(json_string "$(uname -m)")" "$EPOCHREALTIME" "$(cut -d' ' -f1 /proc/uptime)"
printf '"cpus":%s,"load":%s,"memory":{"total":%s,"free":%s},"disks":[%s,%s],' "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)" \
  "$(memory MemTotal)" "$(memory MemAvailable)" "$(disk_json "$stored")" "$(disk_json "$docker_root")"
printf '"docker":%s,"docker_trouble":%s,"machine":%s,' "$(json_string "$(content "$work/version")")" \
  "$(json_string "$(content "$work/trouble")")" "$(file_json "$root/machine.json")"
printf '"containers":%s,"images":%s,' "$(content "$work/containers" | join_json)" "$(content "$work/images" | lines_json)"
printf '"listening":%s,"addresses":%s,"routes":%s,' "$(ss -Hltnp | lines_json)" \
  "$(ip -4 -o address show | awk '{ print $4 }' | lines_json)" "$(ip -4 route show | lines_json)"
printf '"service_range_local":%s,"slots":%s,"proxy":%s,"stacks":%s}\n' \
  "$([[ -n $(ip -4 route show table local 10.210.0.0/16) ]] && printf true || printf false)" \
  "$(slots_json)" "$(fragments_json)" "$(stacks_json)"
