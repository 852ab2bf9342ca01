# Makes the stack's own bridge network: automatic addresses in its last quarter, instances below.
: "${stack:?}"
# uses: prelude
file=$root/stacks/$stack/subnet
mkdir -p "${file%/*}"
if subnet=$(docker network inspect --format '{{(index .IPAM.Config 0).Subnet}}' "handful-$stack" 2>/dev/null); then
  [[ $(content "$file") == "$subnet" ]] || put "$file" <<<"$subnet"
  exit 0
fi
mapfile -t networks < <(docker network ls --quiet)
taken=" $(docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}} {{end}}' "${networks[@]}" | tr '\n' ' ') $(ip -4 route show | tr '\n' ' ')"
for ((number = 0; number < 256; number++)); do
  [[ $taken == *" 10.211.$number."* ]] || break
done
((number < 256)) || fail "no free network for $stack in 10.211.0.0/16" "" "See: docker network ls"
docker network create --driver bridge --label "handful.stack=$stack" --subnet "10.211.$number.0/24" \
  --gateway "10.211.$number.1" --ip-range "10.211.$number.192/26" "handful-$stack" >/dev/null
put "$file" <<<"10.211.$number.0/24"
event setup "the network of $stack is 10.211.$number.0/24"
