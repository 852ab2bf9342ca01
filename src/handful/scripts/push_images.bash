# Puts images of this machine into a registry, those layers that it lacks.
: "${server:?}" "${login:?}" "${images:?}"
# uses: prelude lib_transfer
# `login`: USER:PASSWORD in base64; `images`: lines NAME_HERE NAME_THERE.

# push NAME: its name there goes again, whatever came of it.
push() {
  local well=yes
  awaited docker push --quiet "$server/$1" || well=
  docker rmi "$server/$1" >/dev/null
  [[ -n $well ]]
}

begin_transfer
use_login "$server" "$login"
event fetching ''
while read -r here name; do
  docker tag "$here" "$server/$name" 2>/dev/null || fail "the image $here is not on this machine any more" "" "Deploy it there again, then try again."
  push "$name" || fail "the image $name could not be fetched from this machine" "$(last_said)" "Nothing was changed. Try again."
done <<<"$images"
