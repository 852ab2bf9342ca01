# Everything there is to know about this machine, as one JSON document on stdout. Changes nothing.
: "${stack:?}" "${whole?}"
# uses: prelude lib_proxy lib_drift lib_work
# `whole` empty: without what only a plan asks for (images, and who holds which ports and addresses). `check`: also whether
# anything was changed by hand, which lib_fragment and lib_parts know.

# The document alone goes to stdout.
exec 3>&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Texts are handed on in variables (`quoted`, `text`), not through `$( )`: each of those is a process, and there are hundreds.

# quote TEXT: sets `quoted` to TEXT as a JSON string.
quote() {
  quoted=${1//\\/\\\\}
  quoted=${quoted//\"/\\\"}
  quoted=${quoted//$'\n'/\\n}
  quoted=${quoted//$'\r'/\\r}
  quoted=${quoted//$'\t'/\\t}
  [[ $quoted != *[$'\x01'-$'\x1f\x7f']* ]] || quoted=${quoted//[$'\x01'-$'\x1f\x7f']/ }
  quoted="\"$quoted\""
}

# read_text FILE: sets `text` to its content without its last newline, up to a zero byte.
read_text() {
  text=
  [[ ! -f $1 ]] || IFS= read -r -d '' text <"$1" || true
  text=${text%$'\n'}
}

# quote_file FILE: null when there is none.
quote_file() {
  quoted=null
  [[ ! -f $1 ]] || { read_text "$1" && quote "$text"; }
}

# quote_lines FILE [COUNT]: its lines, or so many of the last ones, as a list of strings.
quote_lines() {
  local lines=() line list=
  [[ ! -f $1 ]] || mapfile -t lines <"$1"
  ((${#lines[@]} <= ${2:-${#lines[@]}})) || lines=("${lines[@]: -$2}")
  for line in "${lines[@]}"; do quote "$line" && list+=,$quoted; done
  quoted="[${list#,}]"
}

# The document grows by members; the values of put_key are JSON.
document="\"format\":1,\"whole\":${whole:+true}"
[[ -n $whole ]] || document+=false
put_key() { document+=",\"$1\":$2"; }
put_text() { quote "$2" && put_key "$1" "$quoted"; }
put_file() { quote_file "$2" && put_key "$1" "$quoted"; }
put_lines() { quote_lines "$2" && put_key "$1" "$quoted"; }

# put_documents KEY FILE: JSON documents, one to a line, as a list.
put_documents() {
  local lines=() IFS=,
  mapfile -t lines <"$2"
  put_key "$1" "[${lines[*]}]"
}

# ask NAME COMMAND...: what other programs know is asked for side by side; each is slow, none needs another.
ask() {
  local name=$1
  shift
  { "$@" || : >"$work/$name"; } >"$work/$name" 2>"$work/$name.trouble" &
}

engine() {
  type -P docker >/dev/null || { echo "there is no program docker" >&2 && return 1; }
  docker version --format '{{.Server.Version}}'
}

containers() {
  local ids
  mapfile -t ids < <(docker ps --all --quiet --no-trunc || true)
  ((${#ids[@]})) || return 0
  docker inspect --format '{"name":{{json .Name}},"image":{{json .Config.Image}},"image_id":{{json .Image}},"labels":{{json .Config.Labels}},"running":{{json .State.Running}},"exit_code":{{json .State.ExitCode}},"started":{{json .State.StartedAt}},"finished":{{json .State.FinishedAt}},"restarts":{{json .RestartCount}},"restart":{{json .HostConfig.RestartPolicy.Name}},"host_network":{{eq .HostConfig.NetworkMode "host"}},"networks":{{json .NetworkSettings.Networks}},"pid":{{json .State.Pid}},"memory":{{json .HostConfig.Memory}},"cpus":{{json .HostConfig.NanoCpus}}}' "${ids[@]}" 2>/dev/null || true
}

addresses() { ip -4 -o address show | awk '{ print $4 }'; }

put_machine() {
  local key value load up local_time ID='' VERSION_ID='' total=0 free=0
  while read -r key value _; do
    case $key in MemTotal:) total=$((value * 1024)) ;; MemAvailable:) free=$((value * 1024)) ;; esac
  done </proc/meminfo
  read -r up _ </proc/uptime
  # shellcheck source=/dev/null
  . /etc/os-release
  put_text hostname "$(uname -n)"
  put_text os "$ID $VERSION_ID"
  put_text kernel "$(</proc/sys/kernel/osrelease)"
  put_text architecture "$(uname -m)"
  put_key clock "$EPOCHREALTIME"
  printf -v local_time '%(%u %H %M)T' -1
  read -r key value load <<<"$local_time"
  put_key weekday "$key"
  put_key minute "$((10#$value * 60 + 10#$load))"
  read -r load _ </proc/loadavg
  put_key up "$up"
  put_key cpus "$(nproc)"
  put_key load "$load"
  put_key memory "{\"total\":$total,\"free\":$free}"
}

# put_disks PATH...: Docker's own folder may be a disk of its own; when it was moved elsewhere, that one is not seen.
put_disks() {
  local path total free disks=
  for path in "$@"; do
    read -r total free || true
    disks+=",{\"path\":\"$path\",\"total\":${total:-0},\"free\":${free:-0}}"
  done < <(df --output=size,avail --block-size=1 "$@" 2>/dev/null | tail -n +2)
  put_key disks "[${disks#,}]"
}

put_fragments() {
  local file files=
  for file in "$root"/proxy/conf/*.cfg "$root"/proxy/conf/{routes,maintenance}.map; do
    [[ -f $file ]] || continue
    quote "${file##*/}" && files+=",$quoted:"
    quote_file "$file" && files+=$quoted
  done
  put_key proxy "{${files#,}}"
}

put_stacks() {
  local folder stacks=
  for folder in "$root"/stacks/*/; do [[ ! -d $folder ]] || add_stack "${folder%/}"; done
  put_key stacks "{${stacks#,}}"
}

add_stack() {
  local folder=$1 app apps='' reach='' holder=null names opened peers agent history='[]'
  # Locked means: somebody holds the lock now; who looks shares it with others who look. What the lock's file says is left over when nobody does.
  if [[ -e $folder/lock ]] && ! flock -n -s "$folder/lock" true; then quote_file "$folder/lock" && holder=$quoted; fi
  quote_file "$root/names/${folder##*/}" && names=$quoted
  quote_file "$folder/open" && opened=$quoted
  quote_file "$folder/peers" && peers=$quoted
  quote_file "$folder/agent.json" && agent=$quoted
  [[ ${folder##*/} != "$stack" ]] || { quote_lines "$folder/history.jsonl" 400 && history=$quoted; }
  for app in "$folder"/apps/*/; do [[ ! -d $app ]] || add_app "${app%/}"; done
  for app in "$folder"/reach/*; do
    [[ -f $app ]] || continue
    quote "${app##*/}" && reach+=",$quoted:"
    quote_file "$app" && reach+=$quoted
  done
  quote "${folder##*/}"
  stacks+=",$quoted:{\"holder\":$holder,\"names\":$names,\"history\":$history,\"opened\":$opened,\"peers\":$peers,\"agent\":$agent,\"apps\":{${apps#,}},\"reach\":{${reach#,}}}"
}

add_app() {
  local folder=$1 release name releases='' current='' number instances released deploying scaled hours stopped=false switched=false
  [[ ! -L $folder/current ]] || current=$(readlink "$folder/current")
  quote "${current##*/}" && current=$quoted
  [[ ! -e $folder/stopped ]] || stopped=true
  [[ ! -e $folder/deploying/switched ]] || switched=true
  read_number "$folder/number" && number=$text
  read_number "$folder/instances" && instances=$text
  quote_lines "$folder/released" && released=$quoted
  quote_file "$folder/deploying/release" && deploying=$quoted
  quote_file "$folder/scaled" && scaled=$quoted
  quote_file "$folder/hours" && hours=$quoted
  for release in "$folder"/releases/*/release.json; do
    [[ -f $release ]] || continue
    name=${release%/release.json}
    quote "${name##*/}" && releases+=",$quoted:"
    quote_file "$release" && releases+=$quoted
  done
  quote "${folder##*/}"
  apps+=",$quoted:{\"number\":$number,\"instances\":$instances,\"current\":$current,\"stopped\":$stopped"
  apps+=",\"scaled\":$scaled,\"hours\":$hours,\"deploying\":$deploying,\"switched\":$switched,\"released\":$released,\"releases\":{${releases#,}}}"
}

read_number() {
  read_text "$1"
  [[ $text =~ ^(0|[1-9][0-9]*)$ ]] || text=null
}

ask docker engine
ask containers containers
ask slots proxy_say admin "show servers state"
if [[ -n $whole ]]; then
  ask images docker images --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}'
  ask listening ss -Hltnp
  ask addresses addresses
  ask routes ip -4 route show
  ask range ip -4 route show table local 10.210.0.0/16
fi
changed=()
if [[ $whole == check && -e $root/machine.json ]]; then
  ask drift. changed_parts
  for file in "$root/stacks/$stack"/reach/*; do
    name=${file##*/}
    # A link that leads nowhere is of an app that runs, and has lost its folder.
    [[ -f $file && ! -L $root/stacks/$stack/apps/$name/current ]] || continue
    changed+=("$name")
    ask "drift.$name" reached_drift "$name"
  done
  for app_folder in "$root/stacks/$stack"/apps/*/current/; do
    [[ -e $app_folder/run_app.bash ]] || continue
    name=${app_folder%/current/} name=${name##*/} && changed+=("$name")
    ask "drift.$name" bash "$app_folder/run_app.bash" drift
  done
fi
put_machine
put_stacks
put_fragments
put_file machine "$root/machine.json"
put_file prepared "$root/prepared.json"
mounted=
for place in "$root"/disks/*; do ! mountpoint --quiet "$place" || mounted+="${place##*/} "; done
put_text volumes "$mounted"
stored=$root docker_root=/var/lib/docker
[[ -d $stored ]] || stored=/var/lib
[[ -d $docker_root ]] || docker_root=/var/lib
put_disks "$stored" "$docker_root"
wait
read_text "$work/docker" && put_text docker "$text"
read_text "$work/docker.trouble" && put_text docker_trouble "$text"
put_documents containers "$work/containers"
for key in images listening addresses routes slots; do put_lines "$key" "$work/$key"; done
drift=
for name in '' "${changed[@]}"; do
  quote "$name" && drift+=",$quoted:"
  quote_lines "$work/drift.$name" && drift+=$quoted
done
put_key drift "{${drift#,}}"
put_key service_range_local "$([[ -s $work/range ]] && printf true || printf false)"
printf '{%s}\n' "$document"
