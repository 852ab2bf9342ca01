# The instances of one app: containers with the labels handful.stack and handful.app.
# Needs the variables stack, app, release and those that lib `settings` of a release sets.

# instances FORMAT [FILTER]...: one line per container of this app, running or not.
instances() {
  local format=$1
  shift
  docker ps --all --no-trunc --filter "label=handful.stack=$stack" --filter "label=handful.app=$app" \
    --filter label=handful.instance "$@" --format "$format"
}

# survey: asks Docker once about all containers of the machine, running or not, into `surveyed`, one to a line:
# ID /NAME RESTART_POLICY STACK/APP/INSTANCE RUNNING,RELEASE at=ADDRESS,PROMISED_ADDRESS (in this stack's network)
survey() {
  local ids
  surveyed=
  ids=$(docker ps --all --quiet --no-trunc)
  [[ -n $ids ]] || return 0
  # A drain that ends just now may take one of them away: the others are told all the same.
  # shellcheck disable=SC2086  # one word per id
  surveyed=$(docker inspect --format "{{.ID}} {{.Name}} {{.HostConfig.RestartPolicy.Name}}\
 {{with .Config.Labels}}{{index . \"handful.stack\"}}/{{index . \"handful.app\"}}/{{index . \"handful.instance\"}}{{end}}\
 {{.State.Running}},{{with .Config.Labels}}{{index . \"handful.release\"}}{{end}}\
 at={{with index .NetworkSettings.Networks \"handful-$stack\"}}{{.IPAddress}},{{with .IPAMConfig}}{{.IPv4Address}}{{end}}{{end}}" \
    $ids 2>/dev/null || true)
  [[ -n $surveyed ]] || fail "Docker does not tell what runs here" "" "See: docker ps --all"
}

# by_restart POLICY: ids of this app's instances with that restart policy, as the survey saw them.
# `unless-stopped` serve: Docker would start them again after a reboot. `no` must not come back: they drain, or failed.
by_restart() {
  awk -v app="$stack/$app/" -v policy="$1" 'index($4, app) == 1 && $4 != app && $3 == policy { print $1 }' <<<"$surveyed"
}

# ids_of NAME...: of those that the survey saw.
ids_of() { awk -v names=" $* " 'index(names, " " substr($2, 2) " ") { print $1 }' <<<"$surveyed"; }

# addresses_of ID...: the addresses that those containers have or are promised in the stack's network, one to a line.
addresses_of() {
  awk -v ids=" $* " 'index(ids, " " $1 " ") { print substr($NF, 4) }' <<<"$surveyed" | tr ',' '\n' | sed '/^$/d' | sort -u
}

# The lowest names of this app that no container has: web-1, web-2 …
free_names() {
  local count=$1 number=0 taken
  taken=" $(awk '{ print $2 }' <<<"$surveyed" | tr '\n' ' ')"
  while ((count > 0)); do
    number=$((number + 1))
    [[ $taken != *" /$stack.$app-$number "* ]] || continue
    printf '%s\n' "$stack.$app-$number"
    count=$((count - 1))
  done
}

# Addresses outside Docker's automatic range, taken in turn; those of stopped containers are skipped,
# because a stopped container does not keep its address. Call it under the machine's lock.
free_addresses() {
  local count=$1 last tried=0 taken
  last=$(content "$root/stacks/$stack/last_address")
  last=${last:-1}
  taken=" $(awk '{ print substr($NF, 4) }' <<<"$surveyed" | tr ',\n' '  ')"
  while ((count > 0)); do
    ((tried < 190)) || fail "all addresses of the network handful-$stack are in use" "" "See: docker network inspect handful-$stack"
    tried=$((tried + 1))
    last=$((last % 191 + 1))
    ((last > 1)) || last=2
    [[ $taken != *" ${subnet%.*}.$last "* ]] || continue
    printf '%s\n' "${subnet%.*}.$last"
    count=$((count - 1))
  done
  printf '%s\n' "$last" | put "$root/stacks/$stack/last_address"
}

# know_subnet: sets `subnet` to the range of the stack's network, as each deploy writes it down: three phases of each app
# need it, and asking Docker takes 30 ms.
know_subnet() {
  subnet=$(content "$root/stacks/$stack/subnet")
  [[ -n $subnet ]] || fail "the network handful-$stack is not on this machine" "" "Run handful deploy, which makes it."
}

# docker_run ARGS...: `docker run`, with the variables that an env file cannot hold in the environment of
# this one call. Perl sets them: bash would change or refuse names like UID, PATH and a.b, and argv can be read by all.
docker_run() {
  local docker file files=()
  docker=$(type -P docker)
  for file in "$folder"/{,secrets/}env.multiline; do [[ ! -s $file ]] || files+=("$file"); done
  ((${#files[@]})) || { "$docker" run "$@"; return; }
  perl -e '
    my ($count, @words) = @ARGV;
    my @files = splice @words, 0, $count;
    my $docker = shift @words;
    local $/ = "\0";
    my @names;
    for my $file (@files) {
      open my $lines, "<", $file or die "$file: $!\n";
      while (<$lines>) { chomp; my ($name, $value) = split /=/, $_, 2; $ENV{$name} = $value; push @names, "--env", $name }
    }
    exec {$docker} $docker, "run", @names, @words or die "docker: $!\n";
  ' "${#files[@]}" "${files[@]}" "$docker" "$@"
}

# What every container of a release gets, into the array `common`.
common_options() {
  local pair
  common=(--label "handful.stack=$stack" --label "handful.app=$app" --label "handful.release=$release"
    --env-file "$folder/env" --env "HANDFUL_RELEASE=$release" --log-driver json-file --log-opt max-size=20m
    --log-opt max-file=5 --log-opt compress=false)
  if [[ $network == host ]]; then
    common+=(--network host)
  elif [[ -n ${alone:-} ]]; then
    # A package on a machine without handful: there is no name server.
    common+=(--network "handful-$stack-package")
  else
    common+=(--network "handful-$stack" --dns 10.210.255.53 --dns-search "$stack.internal" --dns-option ndots:1)
  fi
  [[ -z $memory ]] || common+=(--memory "$memory")
  [[ -z $cpus ]] || common+=(--cpus "$cpus")
  place_volumes
  for pair in "${volumes[@]}"; do common+=(--volume "$stack.$pair"); done
  for pair in "${files[@]}"; do common+=(--volume "$folder/files/$pair:ro"); done
  [[ ! -s $folder/secrets/env ]] || common+=(--env-file "$folder/secrets/env")
  for pair in "${secret_files[@]}"; do common+=(--volume "$folder/secrets/files/$pair:ro"); done
  common+=("${options[@]}")
}

# place_volumes: a volume that is not there yet comes to lie on the machine's disk of its name, or on the one called `data`.
# One that is there stays where it is.
place_volumes() {
  local name disk place
  for name in "${volumes[@]%%:*}"; do
    disk=$root/disks/$name
    [[ -d $disk ]] || disk=$root/disks/data
    [[ -d $disk ]] && ! docker volume inspect "$stack.$name" >/dev/null 2>&1 || continue
    mountpoint --quiet "$disk" ||
      fail "the volume ${disk##*/} of this machine is not in its place" "$(lsblk 2>&1)" "See: mount $disk. Or: handful machines prepare. $(still)"
    place=$disk/$stack.$name
    mkdir -p "$place"
    docker volume create --opt type=none --opt o=bind --opt "device=$place" "$stack.$name" >/dev/null
  done
}

# start_instance NAME ADDRESS
start_instance() {
  local name=$1 address=$2 common place=() said
  common_options
  [[ -z $address ]] || place=(--ip "$address")
  said=$(docker_run --detach --name "$name" --restart no --label "handful.instance=${name#"$stack".}" \
    --env "HANDFUL_INSTANCE=${name#"$stack".}" --stop-timeout "$stop_timeout" "${place[@]}" "${common[@]}" \
    "$image" "${command[@]}" 2>&1 >/dev/null) || not_started "$name" "$said"
  event started "${name#"$stack".} started${address:+ at $address}" instance "${name#"$stack".}" address "$address"
}

# not_started NAME SAID: what Docker says of a network that is gone does not help.
not_started() {
  [[ $network == host ]] || docker network inspect "handful-$stack" >/dev/null 2>&1 ||
    fail "the network handful-$stack is not on this machine" "" "Run handful deploy, which makes it. $(still)"
  fail "${1#"$stack".} could not be started" "$2" "$(still)"
}

# stop_instances NAME...: stops side by side and removes.
stop_instances() {
  (($#)) || return 0
  local name
  for name in "$@"; do docker stop -t "$stop_timeout" "$name" >/dev/null 2>&1 & done
  wait
  docker rm --force "$@" >/dev/null 2>&1 || true
}

# An image goes when no release names it; while its last instance drains, Docker keeps it, and the drain asks again.
forget_image() {
  grep -qsxF -- "image=$1" "$root"/stacks/*/apps/*/releases/*/run_app.bash || docker image rm "$1" >/dev/null 2>&1 || true
}
