# What users noticed while this work was done, by the proxy's own lines on each request: all its workers write them.
# A line: MILLISECONDS_SINCE_1970 BACKEND TERMINATION RETRIES STATUS TIME_QUEUED TIME_TO_CONNECT TIME_TO_ANSWER (ms; -1: it did not come so far).
# An app is measured when there is a file measured-APP in the session; it holds when the app switched.

# Milliseconds since 1970.
wall_clock() { printf '%s' "$((${EPOCHREALTIME/./} / 1000))"; }

# measure SINCE: tells of each app, and sets `measured` to one JSON member for history.
# shellcheck disable=SC2034  # measured is read at the end of the work
measure() {
  local file app figures=() members=''
  measured=
  [[ -n $(compgen -G "${HANDFUL_SESSION:-/nonexistent}/measured-*") ]] || return 0
  docker logs --since "$(($1 / 1000))" handful-proxy 2>/dev/null >"$HANDFUL_SESSION/requests" || return 0
  for file in "$HANDFUL_SESSION"/measured-*; do
    app=${file##*/measured-}
    read -r -a figures < <(count_requests "$1" "$stack.$app" "$(content "$file")")
    members+=",$(json_string "$app"):{\"answered\":${figures[0]},\"failed\":${figures[1]},\"retried\":${figures[2]},\"p50\":[${figures[3]},${figures[5]}],\"p99\":[${figures[4]},${figures[6]}]}"
    event measured "$app: ${figures[0]} requests answered, ${figures[1]} failed, ${figures[2]} retried$(told_times "${figures[@]:3}")" app "$app" \
      answered "${figures[0]}" failed "${figures[1]}" retried "${figures[2]}" p50_before "${figures[3]}" p99_before "${figures[4]}" \
      p50_after "${figures[5]}" p99_after "${figures[6]}"
  done
  measured=",\"requests\":{${members#,}}"
}

# count_requests SINCE BACKEND SWITCHED: answered, failed, retried, then half and 99 of 100 (ms), before the switch and after it.
# Failed: an error that is the proxy's own and not the app's (no connection, no answer in time), and an answer that was cut off.
count_requests() {
  local times
  times=$(awk -v since="$1" -v backend="$2" -v switched="${3:-9e15}" '
    NF != 8 || ($2 != backend && $2 != backend ".once") || $1 < since { next }
    { tcp = $5 == "-"; way = substr($3, 1, 1) }
    $4 ~ /^\+/ || $4 > 0 { retried++ }
    tcp ? $3 ~ /^[SsPRID][CQ]/ : way ~ /[SsDK]/ || (way ~ /[PRIUu]/ && $5 >= 500) { failed++; next }
    tcp || $5 > 0 { answered++ }
    !tcp && $8 >= 0 { print ($1 < switched ? "before" : "after"), ($6 > 0 ? $6 : 0) + ($7 > 0 ? $7 : 0) + $8 }
    END { print "counts", answered + 0, failed + 0, retried + 0 }' "$HANDFUL_SESSION/requests" | sort -k 1,1 -k 2,2n)
  awk '$1 == "counts" { counts = $2 " " $3 " " $4; next }
    { all[$1, ++n[$1]] = $2 }
    # The smallest that as many of all are not above.
    function at(which, part) { rank = int(n[which] * part); return n[which] ? all[which, rank < n[which] * part ? rank + 1 : rank] : "null" }
    END { print counts, at("before", 0.5), at("before", 0.99), at("after", 0.5), at("after", 0.99) }' <<<"$times"
}

# told_times P50 P99 P50 P99: before and after, as far as there were requests.
told_times() {
  [[ $1 == null ]] || printf '; half within %s ms and 99 %% within %s ms before' "$1" "$2"
  [[ $3 == null ]] || printf '%s half within %s ms and 99 %% within %s ms after' "$([[ $1 == null ]] && printf ';' || printf ',')" "$3" "$4"
}
