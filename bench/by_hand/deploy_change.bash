# On the operator's computer: builds the folder it is in, sends the image, and switches to it. $1: machine, $2: image.
set -euo pipefail
machine=$1 image=$2
here=$(dirname "${BASH_SOURCE[0]}")
if docker buildx version >/dev/null 2>&1; then docker build --quiet --tag "$image" .; else DOCKER_BUILDKIT=0 docker build --quiet --tag "$image" .; fi
docker save "$image" | ssh -F ssh_config "$machine" docker load --quiet
ssh -F ssh_config "$machine" bash -s -- "$image" <"$here/switch.bash"
