# Builds an image on this machine, from a context that comes on stdin as a tar, with half of its processors and memory at most.
: "${name:?}" "${dockerfile:?}" "${options:?}"
# uses: prelude
# `options`: further words of `docker build`, an array. The classic builder: it alone keeps to these limits.
processors=$(nproc) half=$(awk '/^MemTotal:/ { print int($2 / 2) }' /proc/meminfo)
# Whoever asked for it may go while it builds: Docker ends it then.
DOCKER_BUILDKIT=0 docker build --memory "${half}k" --cpu-period 100000 --cpu-quota "$((processors * 50000))" \
  --tag "$name" --file "$dockerfile" "${options[@]}" - 2>&1
