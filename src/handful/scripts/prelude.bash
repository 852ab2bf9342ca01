# Every script starts with this: strict mode, how to speak, how to fail, how to lock.
set -Eeuo pipefail
shopt -s inherit_errexit
umask 077
# Descriptor 3 is for events, so that `$( )` cannot swallow them.
exec 3>&1
export LC_ALL=C.UTF-8
root=${HANDFUL_ROOT:-/var/lib/handful}

# Quotes $1 as a JSON string.
json_string() {
  local text=$1
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  text=${text//$'\r'/\\r}
  text=${text//$'\t'/\\t}
  printf '"%s"' "${text//[$'\x01'-$'\x1f\x7f']/ }"
}

# hide TEXT: sets `hidden` to TEXT without the secrets of the release whose folder this is: an app may have printed them.
hide() {
  local file record own=${folder:-}/secrets
  hidden=$1
  [[ -n ${folder:-} && -d $own && -n $1 ]] || return 0
  # Values of three letters are found in words that have nothing to do with them.
  if [[ -e $own/env ]]; then
    while IFS= read -r record; do hide_value "${record%%=*}" "${record#*=}" 4; done <"$own/env"
  fi
  if [[ -e $own/env.multiline ]]; then
    while IFS= read -r -d '' record; do hide_lines "${record%%=*}" "${record#*=}"; done <"$own/env.multiline"
  fi
  for file in "$own"/files/*; do [[ ! -f $file ]] || hide_lines secret "$(<"$file")"; done
}
# hide_value NAME VALUE LEAST: shorter ones, and the first and last lines of keys, stay.
hide_value() { ((${#2} < $3)) || [[ $2 == -----* ]] || hidden=${hidden//"$2"/[$1]}; }
# hide_lines NAME TEXT: a program may have printed any of its lines; short ones are brackets and the like.
hide_lines() {
  local rest=$2$'\n' line
  while [[ -n $rest ]]; do
    line=${rest%%$'\n'*} rest=${rest#*$'\n'}
    hide_value "$1" "${line%$'\r'}" 8
  done
}

# event KIND TEXT [KEY VALUE]...: one JSON line for handful, or the text alone for a person.
event() {
  local kind=$1 text hidden line
  hide "$2"
  text=$hidden
  shift 2
  if [[ -z ${HANDFUL_JSON:-} ]]; then
    [[ -z $text ]] || printf '%s\n' "$text" >&2
    return 0
  fi
  line="{\"event\":$(json_string "$kind"),\"text\":$(json_string "$text")"
  while (($# > 1)); do
    # What programs read, like a release or a word, is never what an app has printed.
    hidden=$2
    [[ $1 != detail && $1 != advice ]] || hide "$2"
    line+=",$(json_string "$1"):$(json_string "$hidden")"
    shift 2
  done
  printf '%s}\n' "$line" >&3
}

# fail MESSAGE [DETAIL] [ADVICE]: says why, and ends the script.
fail() {
  trap - ERR
  event failed "$1" detail "${2:-}" advice "${3:-}" app "${app:-}"
  hide "${2:-}"
  [[ -n ${HANDFUL_JSON:-} ]] || printf '%s' "${hidden:+$hidden$'\n'}${3:+$3$'\n'}" >&2
  exit "$said_why"
}
said_why=77

# What a failure of an app leaves: said to people who fear for the old release.
still() {
  if [[ -L $root/stacks/$stack/apps/$app/current ]]; then
    printf 'The old release still serves.'
  else
    printf 'It was the first release of %s: nothing of it stays.' "$app"
  fi
}

# What nobody foresaw still says where it happened; what a subshell has said already is not said twice.
unexpected() {
  local status=$?
  trap - ERR
  ((status != said_why)) || exit "$said_why"
  # Ctrl-C ends the programs that the script runs as well, and may be told by their end before it is by the signal.
  # shellcheck disable=SC2034  # read at the end of the work
  ((status != 130 && status != 143)) || { outcome=interrupted && exit "$status"; }
  event failed "the script stopped unexpectedly at line $1: $2" app "${app:-}"
  exit 1
}
trap 'unexpected "$LINENO" "$BASH_COMMAND"' ERR

# Centiseconds on a clock that nobody sets.
now() {
  local up
  read -r up _ </proc/uptime
  printf '%s' "${up/./}"
}

# The content of a file without its last newline, or nothing.
content() { [[ ! -e $1 ]] || printf '%s' "$(<"$1")"; }

# put FILE: writes stdin to FILE, whole or not at all.
put() { cat >"$1.new" && mv -T -- "$1.new" "$1"; }

# Appends a line on stdin to the stack's history; what a power cut tore off is ended first, so that it swallows nothing.
append_history() {
  local file=$root/stacks/$stack/history.jsonl
  [[ ! -s $file || -z $(tail -c 1 "$file") ]] || printf '\n' >>"$file"
  cat >>"$file"
}

# One deploy of a stack at a time; the file tells who holds the lock. Descriptor 9 holds it until the script ends.
lock_stack() {
  mkdir -p "$root/stacks/$stack"
  exec 9<>"$root/stacks/$stack/lock"
  # Who looks whether it is held holds it for that moment.
  # The hours of an app hold it until its instances are healthy.
  flock -w 1 9 || { [[ $(content "$root/stacks/$stack/lock") == 'the hours of '* ]] && flock -w 120 9; } || fail "another deploy is at work on $stack" "$(content "$root/stacks/$stack/lock")" \
    "Wait until it has ended, then try again."
  printf '%s\n' "${holder:-bash, by hand, since $(date -u +%FT%TZ)}" >"$root/stacks/$stack/lock"
}

# The machine's lock, for the seconds around addresses and the proxy. Descriptor 8 holds it.
lock_machine() {
  mkdir -p "$root"
  exec 8<>"$root/lock"
  flock -w 60 8 || fail "the lock of this machine ($root/lock) was not free for 60 s" "" "See who holds it: fuser -v $root/lock"
}
unlock_machine() { exec 8>&-; }
