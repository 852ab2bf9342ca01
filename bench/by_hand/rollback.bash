# On the operator's computer: looks first, then switches back to an image that is still on the machine. $1: machine, $2: image.
# The same ssh sessions and the same questions to Docker as handful's.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
ssh -F ssh_config "$1" bash -s <"$here/look.bash" >/dev/null
ssh -F ssh_config "$1" bash -s -- "$2" <"$here/careful.bash"
