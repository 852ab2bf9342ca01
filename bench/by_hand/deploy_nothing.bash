# On the operator's computer: builds from the cache, and sees that this image is what runs. $1: machine, $2: image.
set -euo pipefail
machine=$1 image=$2
if docker buildx version >/dev/null 2>&1; then id=$(docker build --quiet --tag "$image" .); else id=$(DOCKER_BUILDKIT=0 docker build --quiet --tag "$image" .); fi
# shellcheck disable=SC2016  # the machine's
running=$(ssh -F ssh_config "$machine" 'docker inspect --format "{{.Image}}" $(docker ps --quiet --filter label=by_hand.instance) | sort -u')
[[ $running == "$id" ]] && echo "nothing to do" || echo "another image runs"
