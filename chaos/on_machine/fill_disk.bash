# Puts the stack on a disk of its own, with $room bytes left.
: "${stack:?}" "${room:?}"
folder=/var/lib/handful/stacks/$stack
mkdir -p /tmp/small
mount -t tmpfs -o size=4m none /tmp/small
cp -a "$folder/." /tmp/small/
mount --bind /tmp/small "$folder"
fallocate -l "$(($(df --output=avail -B1 /tmp/small | tail -n 1) - room))" "$folder/filled"
