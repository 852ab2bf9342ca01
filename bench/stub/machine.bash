# Becomes a machine with an sshd and a stub docker: machine.bash NAME PORT FOLDER. Its mounts are its own; all else it shares.
set -euo pipefail
name=$1 port=$2 folder=$3
here=$(cd "$(dirname "$0")" && pwd)
state=$folder/$name
mkdir -p "$state"/{root,containers,run} /run/sshd /var/lib/handful
mount --make-rprivate /
mount --bind "$state/root" /var/lib/handful
mount --bind "$here/docker" "$(type -P docker)"
cp "$(readlink -f "$(type -P ip)")" "$state/ip"
mount --bind "$here/ip" "$(readlink -f "$(type -P ip)")"
# Nothing of this computer may be changed.
mount --bind "$state/root" /etc/systemd/system
mount --bind "$state/root" /etc/sysctl.d
cp /etc/hosts "$state/hosts"
mount --bind "$state/hosts" /etc/hosts
exec "$(type -P sshd)" -D -e -p "$port" -f /dev/null -h "$folder/host_key" -o ListenAddress=127.0.0.1 -o PidFile=none \
  -o AuthorizedKeysFile="$folder/key.pub" -o StrictModes=no -o UsePAM=no -o MaxStartups=200 -o SetEnv="STUB=$state/containers" \
  -o PermitRootLogin=yes
