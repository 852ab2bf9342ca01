# What would be lost with this machine: a line for each kind, its value in base64. Changes nothing.
: "${stack:?}"
# uses: prelude
tell() { printf '%s %s\n' "$1" "$(printf '%s' "$2" | base64 -w 0)"; }
tell volumes "$(docker volume ls --quiet 2>/dev/null | sed -n "s/^$stack\.//p" || true)"
tell stacks "$(for folder in "$root"/stacks/*/apps/*/current; do
  [[ ! -L $folder ]] || { folder=${folder%/apps/*} && printf '%s\n' "${folder##*/}"; }
done | sort -u | grep -vxF -- "$stack" || true)"
tell apps "$(for folder in "$root/stacks/$stack"/apps/*/current; do [[ ! -L $folder ]] || { folder=${folder%/current} && printf '%s\n' "${folder##*/}"; }; done)"
tell containers "$(docker ps --format '{{.Names}} {{.Label "handful.stack"}}{{.Label "handful.part"}}' 2>/dev/null | awk 'NF == 1' || true)"
