# What the scripts beside this one need on this computer: found, or installed and started.
# Each function says in one line what it does, nothing when all is there, and ends the script when it cannot help.

home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=${XDG_STATE_HOME:-~/.local/state}/handful
venv=$home/.venv
engine_seconds=60
mkdir -p "$state"
# What a plain user's PATH leaves out: ip, haproxy, dockerd.
export PATH=$venv/bin:$PATH:/usr/sbin:/sbin

# On stderr, so that stdout stays free for what was asked for.
say() { printf '%s\n' "$*" >&2; }

# stop MESSAGE [ADVICE]
stop() {
  say "error: $1"
  [[ -z ${2:-} ]] || say "$2"
  exit 1
}

# quietly COMMAND...: its output is kept in a log, and shown only when it fails.
quietly() {
  "$@" >"$state/setup.log" 2>&1 </dev/null && return 0
  tail -n 15 "$state/setup.log" >&2
  return 1
}

# need_venv: .venv holds handful, editable, and the development group of pyproject.toml.
need_venv() {
  local wanted
  wanted="$home $(sha256sum <"$home/pyproject.toml")"
  [[ -x $venv/bin/python && $(cat "$venv/installed" 2>/dev/null) == "$wanted" ]] && return 0
  (
    flock 9
    make_venv "$wanted"
  ) 9>"$state/setup.lock" || exit 1
}

make_venv() {
  local python pins
  find_python
  [[ -x $venv/bin/python && $(cat "$venv/installed" 2>/dev/null) == "$home "* ]] || {
    say "making .venv with $("$python" --version)"
    quietly "$python" -m venv --clear "$venv" || stop "$python -m venv failed" "Remove $venv and try again."
  }
  mapfile -t pins < <("$venv/bin/python" -c '
import sys, tomllib
print(*tomllib.load(sys.stdin.buffer)["dependency-groups"]["dev"], sep="\n")' <"$home/pyproject.toml")
  say "installing handful and ${#pins[@]} development packages into .venv"
  quietly "$venv/bin/python" -m pip install --disable-pip-version-check --editable "$home" "${pins[@]}" ||
    stop "pip could not install them" "It must reach a package index: see pip config list."
  printf '%s\n' "$1" >"$venv/installed"
}

# find_python: sets `python` to one that is new enough and can make a venv.
find_python() {
  command -v python3 >/dev/null || install_packages python3 python3-venv
  for python in python3 python3.14 python3.13 python3.12 python3.11; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    return 0
  done
  stop "handful needs Python 3.11 or newer; this computer has $(python3 --version)" "Install a newer one as python3."
}

# need_commands COMMAND=PACKAGE...
need_commands() {
  local pair missing=()
  for pair in "$@"; do command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}"); done
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

may_install() { ((EUID == 0)) && command -v apt-get >/dev/null; }

install_packages() {
  may_install || stop "this computer lacks: $*" "Install it, then try again (on Debian and Ubuntu, as root: apt-get install $*)."
  say "installing $*"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@")
  # The first try needs no network for package lists; where they are missing or old, the second has them.
  "${install[@]}" >"$state/setup.log" 2>&1 </dev/null || { quietly apt-get update && quietly "${install[@]}"; } ||
    stop "apt-get could not install $*" "Its log: $state/setup.log"
}

# need_engine: a Docker engine answers, and there is a base image or a way to make one. Nobody else's engine is touched.
need_engine() {
  need_commands ssh=openssh-client
  command -v docker >/dev/null || install_docker
  engine_answers || start_engine
  docker image inspect debian:13-slim >/dev/null 2>&1 || ! may_install || need_commands mmdebstrap=mmdebstrap
}

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Since Debian 13 the client is a package of its own.
install_docker() {
  if apt-cache show docker-cli >/dev/null 2>&1; then install_packages docker.io docker-cli; else install_packages docker.io; fi
}

start_engine() {
  [[ -z ${DOCKER_HOST:-} ]] || stop "no Docker engine answers at $DOCKER_HOST (DOCKER_HOST)" "Start it there, or unset DOCKER_HOST."
  ((EUID == 0)) || stop "no Docker engine answers to $(id -un)" \
    "Start it (systemctl start docker), and let this user use it (usermod -aG docker $(id -un), then log in anew)."
  command -v dockerd >/dev/null || install_packages docker.io
  local log=$state/dockerd.log deadline=$((SECONDS + engine_seconds))
  if [[ -d /run/systemd/system ]]; then
    say "starting Docker"
    quietly systemctl start docker || stop "Docker does not start" "See: journalctl -u docker"
  else
    say "starting dockerd (its log: $log)"
    forget_pid /run/docker.pid dockerd
    forget_pid /run/docker/containerd/containerd.pid containerd
    setsid dockerd >"$log" 2>&1 </dev/null &
  fi
  until engine_answers; do
    ((SECONDS < deadline)) || stop "no Docker engine answered within $engine_seconds s: $(tail -n 5 "$log" 2>/dev/null)"
    sleep 0.2
  done
}

# want_node_package NAME@VERSION: in .venv/node_modules, for tests that compare with other programs; without it they are skipped.
want_node_package() {
  [[ $(cat "$venv/node_modules/.wanted" 2>/dev/null) != "$1" ]] || return 0
  command -v npm >/dev/null && quietly npm install --prefix "$venv" --no-package-lock --no-save --ignore-scripts --no-audit "$1" ||
    { say "npm could not install $1: its tests are skipped" && return 0; }
  printf '%s\n' "$1" >"$venv/node_modules/.wanted"
}

# A number that outlived its process may be another program's by now, and the engine would refuse to start.
forget_pid() {
  [[ -e $1 ]] || return 0
  [[ $(cat "/proc/$(cat "$1")/comm" 2>/dev/null) == "$2" ]] || rm -f "$1"
}
