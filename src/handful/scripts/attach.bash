# Shows what the work that is under way on a stack says, from its beginning to its end.
: "${stack:?}"
# uses: prelude
session=$(readlink "$root/stacks/$stack/at_work" || true)
[[ -e ${session:-/nonexistent}/work ]] || exit 0
tail -s 0.1 -n +1 --pid="$(<"$session/work")" -f "$session/progress"
