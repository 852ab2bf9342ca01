# On the operator's computer: sends an image whole. $1: machine, $2: image, $3: what both sides can pack with, zstd or gzip.
set -euo pipefail
machine=$1 image=$2 packer=$3
level=-3
[[ $packer != gzip ]] || level=-1
docker save "$image" | "$packer" "$level" | ssh -F ssh_config "$machine" "set -o pipefail; $packer -d | docker load --quiet"
