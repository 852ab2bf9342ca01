# Writes a file of the machine's own, and has it heeded; what was there before is kept beside it, once.
: "${says:?}" "${path:?}" "${text:?}" "${check?}" "${heed?}"
# uses: prelude
# `check`, `heed`: commands, as one line of bash each; when `check` fails, the old file comes back. They are handful's own.
mkdir -p "${path%/*}"
[[ ! -f $path || -e $path.before-handful ]] || cp --preserve -- "$path" "$path.before-handful"
old=$(mktemp) there=
trap 'rm -f "$old"' EXIT
[[ ! -f $path ]] || { cp --preserve -- "$path" "$old" && there=yes; }
put "$path" <<<"$text"
chmod 644 "$path"
if [[ -n $check ]] && ! said=$(bash -c "$check" 2>&1); then
  if [[ -n $there ]]; then cp --preserve -- "$old" "$path"; else rm -f "$path"; fi
  fail "$path would be refused" "$said" "It is as it was."
fi
[[ -z $heed ]] || said=$(bash -c "$heed" 2>&1) || fail "$path is written, and not heeded" "$said" "Try there: $heed"
event prepared "$says"
