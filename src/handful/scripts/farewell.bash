# What would be lost with this machine: a line for each kind, its value in base64. Changes nothing; who cannot tell fails.
: "${stack:?}"
# uses: prelude
tell() { printf '%s %s\n' "$1" "$(printf '%s' "$2" | base64 -w 0)"; }
# Volumes that somebody has named, of whatever stack; those on a disk of their own are not the machine's.
named=() own=
if type -P docker >/dev/null; then
  mapfile -t named < <(docker volume ls --quiet && echo told)
  ((${#named[@]})) && [[ ${named[-1]} == told ]] || fail "Docker does not answer: nobody knows what is on this machine" "" "See there: systemctl status docker"
  unset 'named[-1]'
  for volume in "${named[@]}"; do
    [[ ! $volume =~ ^[0-9a-f]{64}$ ]] || continue
    device=$(docker volume inspect --format '{{with .Options}}{{.device}}{{end}}' "$volume")
    [[ $device == "$root"/disks/* ]] || own+="${volume#"$stack".}"$'\n'
    all+=${volume#"$stack".}$'\n'
  done
  containers=$(docker ps --all --format '{{.Names}} {{.Label "handful.stack"}}{{.Label "handful.part"}}')
fi
tell volumes "${all:-}"
tell own "$own"
tell stacks "$(for folder in "$root"/stacks/*/apps/*/current; do
  [[ ! -L $folder ]] || { folder=${folder%/apps/*} && printf '%s\n' "${folder##*/}"; }
done | sort -u | grep -vxF -- "$stack" || true)"
tell apps "$(for folder in "$root/stacks/$stack"/apps/*/current; do [[ ! -L $folder ]] || { folder=${folder%/current} && printf '%s\n' "${folder##*/}"; }; done)"
tell containers "$(awk 'NF == 1' <<<"${containers:-}")"
