# Shows what the work that is under way on a stack says, from its beginning to its end.
: "${stack:?}"
# uses: prelude
session=$(readlink "$root/stacks/$stack/at_work" || true)
[[ -e ${session:-/nonexistent}/work ]] || exit 0
# Nobody listens any more when stdin ends.
{ cat >/dev/null && kill 0; } <&0 &
tail -s 0.1 -n +1 --pid="$(<"$session/work")" -f "$session/progress"
kill "$!" 2>/dev/null || true
