# Writes images of this machine to stdout, packed, where no registry can be reached; docker unpacks them by itself.
: "${images:?}"
# uses: prelude
# `images`: an array of names.
docker save "${images[@]}" | gzip -1 --stdout
