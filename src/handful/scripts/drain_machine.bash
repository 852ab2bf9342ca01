# Has the other machines send nothing more to this one, which is about to stop for a while; or again, where it did not.
: "${way:?}" "${seconds:?}"
# uses: prelude lib_proxy
# `way`: out or back. What is under way is answered first, for so many `seconds` at most. Who asks for this machine by its own address is not told.
stat() { proxy_say admin "show stat" 2>/dev/null || true; }
# sum COLUMN SUFFIX ROW: the sum of a column of the proxy's statistics, over the parts whose names end so.
sum() {
  stat | awk -F, -v column="$1" -v end="$2" -v row="$3" '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i }
    $2 == row && substr($1, length($1) - length(end) + 1) == end { sum += $at } END { print sum + 0 }'
}
mapfile -t apps < <(stat | awk -F, '$2 == "BACKEND" && $1 ~ /\.ready$/ { print substr($1, 1, length($1) - 6) }')
if ((${#apps[@]} == 0)); then
  event drained "no other machine sends anything here"
  exit 0
fi
if [[ $way == back ]]; then
  proxy_say admin "clear map /etc/haproxy/conf/leaving.map" >/dev/null
  event drained "the other machines send requests here again"
  exit 0
fi
commands=()
for each in "${apps[@]}"; do commands+=("add map /etc/haproxy/conf/leaving.map $each yes"); done
asked=$(sum hrsp_5xx .ready BACKEND)
proxy_say admin "${commands[@]}" >/dev/null
# Each other machine asks twice a second for each app, and goes by two answers.
others=$(sed -n 's/^from //p' "$root"/stacks/*/reach/* 2>/dev/null | wc -w)
deadline=$(($(now) + 250))
until (($(sum hrsp_5xx .ready BACKEND) >= asked + 2 * others || $(now) > deadline)); do sleep 0.05; done
deadline=$(($(now) + seconds * 100))
while (($(sum scur .front FRONTEND) > 0 && $(now) < deadline)); do sleep 0.2; done
event drained "the other machines send nothing here any more"
