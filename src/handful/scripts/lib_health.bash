# Does an instance answer? One try per call; `saw` keeps what the last try saw.
# shellcheck disable=SC2016  # the dollars are the inner shell's
saw=

# try_health NAME ADDRESS: 0 when healthy.
try_health() {
  case $health_kind in
    path) try_path "$2" ;;
    tcp) try_tcp "$2" ;;
    command) try_command "$1" ;;
    running) try_running "$1" ;;
  esac
}

try_tcp() {
  saw="nothing listens on port $port"
  # An address whose container has just ended takes three seconds to refuse.
  timeout 1 bash -c 'exec 5<>"/dev/tcp/$0/$1"' "$1" "$port" 2>/dev/null
}

# GET over bash's own sockets, so that a machine needs no curl.
try_path() {
  local answer status body head
  try_tcp "$1" || return 1
  answer=$(timeout 5 bash -c '
    exec 5<>"/dev/tcp/$0/$1"
    shift
    printf "%s\r\n" "$@" "" >&5
    cat <&5 | tr -d "\000" | head -c 4096
  ' "$1" "$port" "GET $health_path HTTP/1.1" "Host: $health_host" "Connection: close" "User-Agent: handful" \
    "${health_headers[@]}" 2>/dev/null) || true
  [[ -n $answer ]] || { saw="GET $health_path → no answer"; return 1; }
  [[ $answer == HTTP/* ]] || { saw="GET $health_path → ${answer:0:200}"; return 1; }
  status=${answer#* }
  status=${status:0:3}
  head=${answer%%$'\r\n\r\n'*}
  body=${answer#*$'\r\n\r\n'}
  [[ ${head,,} != *transfer-encoding:*chunked* ]] || body=${body#*$'\r\n'}
  saw="GET $health_path → $status"$'\n'"${body:0:300}"
  [[ $status == [23]?? ]]
}

try_command() {
  local said status=0
  said=$(timeout 10 docker exec "$1" "${health_command[@]}" 2>&1) || status=$?
  ((${#said} <= 300)) || said=${said: -300}
  saw="${health_command[*]} → exit code $status"$'\n'"$said"
  ((status == 0))
}

# An app without a port and without a check is healthy when it has run for a second.
try_running() {
  saw="it has not run for 1 s yet"
  (($(now) - started_at >= 100))
}

# still_run NAME...: fails when one of the containers has ended, or was restarted.
still_run() {
  local name state seen=0
  while read -r name state; do
    [[ $state == "true "*" 0" ]] || died "${name#/}" "$state"
    seen=$((seen + 1))
  done < <(docker inspect --format '{{.Name}} {{.State.Running}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.RestartCount}}' "$@" 2>/dev/null || true)
  ((seen == $#)) || fail "an instance of $app was removed by somebody" "" "$(still)"
}

# What listens inside a container, read from its own /proc: "0.0.0.0:5000 127.0.0.1:8000".
listens() {
  local pid line address octets
  pid=$(docker inspect --format '{{.State.Pid}}' "$1" 2>/dev/null) || return 0
  [[ $pid != 0 ]] || return 0
  while read -r _ address _ line _; do
    [[ $line == 0A ]] || continue
    if ((${#address} == 13)); then
      octets=$((16#${address:6:2})).$((16#${address:4:2})).$((16#${address:2:2})).$((16#${address:0:2}))
    elif [[ ${address%:*} =~ ^0+$ ]]; then octets='*'; else octets='[IPv6]'; fi
    # Docker's own name server listens in every container.
    [[ $octets == 127.0.0.11 ]] || printf '%s:%s ' "$octets" "$((16#${address##*:}))"
  done < <(cat "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2>/dev/null)
}

# wait_healthy NAME ADDRESS DEADLINE: until healthy; says within half a second that the container has ended.
# Docker is asked seldom: a question takes it as long as ten tries, and the app needs the processor to start.
wait_healthy() {
  local name=$1 address=$2 deadline=$3 short=${1#"$stack".} next_try=0 next_look told
  told=$(now) next_look=$((told + 30))
  while :; do
    if (($(now) >= next_try)); then
      if try_health "$name" "$address"; then
        # What answered may be somebody else: on the host's network, or with no check at all.
        [[ $health_kind != running && $network != host ]] || still_run "$name"
        event healthy "$short is healthy after $(seconds $(($(now) - started_at)))" instance "$short"
        return 0
      fi
      # Until something listens at all, asking often costs nothing.
      [[ $saw == "nothing listens"* ]] || next_try=$(($(now) + health_every_ms / 10))
    fi
    if (($(now) >= next_look)); then
      still_run "$name"
      next_look=$(($(now) + 50))
    fi
    (($(now) < deadline)) || never_healthy "$name"
    if (($(now) - told >= 300)); then
      told=$(now)
      event waiting "waiting for $short (${saw%%$'\n'*})" instance "$short"
    fi
    sleep 0.05
  done
}

seconds() { printf '%d.%02d s' $(($1 / 100)) $(($1 % 100)); }

last_words() { docker logs --tail 10 "$1" 2>&1 | tail -n 10; }

died() {
  local state code memory_killed why
  read -r state code memory_killed _ <<<"$2"
  why="${1#"$stack".} ended with exit code $code"
  [[ $memory_killed != true ]] || why+=" (killed: out of memory)"
  [[ $state != true ]] || why="${1#"$stack".} was restarted by Docker"
  fail "$why" "$(last_words "$1")" "$(still)"
}

never_healthy() {
  local found short=${1#"$stack".} detail=
  [[ $saw != *$'\n'* ]] || detail=${saw#*$'\n'}$'\n'
  if [[ $saw == "nothing listens"* ]]; then
    found=$(listens "$1")
    if [[ " $found" =~ \ ("*"|0\.0\.0\.0|\[IPv6\]):$port\  ]]; then
      saw="it began to listen on port $port only now"
    else
      detail="it listens on: ${found:-nothing at all}"$'\n'
      [[ " $found" != *" 127.0.0.1:$port "* ]] || detail+="127.0.0.1 is reached from inside the container only: listen on 0.0.0.0"$'\n'
    fi
  fi
  fail "$short did not become healthy in $(seconds $((health_within_ms / 10))) (${saw%%$'\n'*})" \
    "$detail$(printf '%s\n' "--- last lines of $short:" "$(last_words "$1")")" "$(still)"
}
