# On the operator's computer: switches back to an image that is still on the machine, in as few steps as can be. $1: machine, $2: image.
set -euo pipefail
ssh -F ssh_config "$1" bash -s -- "$2" <"$(dirname "${BASH_SOURCE[0]}")/switch.bash"
