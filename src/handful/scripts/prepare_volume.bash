# Puts a volume of the provider's in its place, now and at each boot; what is on it stays.
: "${says:?}" "${name:?}" "${device?}"
# uses: prelude
# `device`: its path; a new volume may take a moment to appear. An empty one gets a file system, no other does.
place=$root/disks/$name
mkdir -p "$place"
chmod 711 "$root" "$root/disks"
deadline=$(($(now) + 6000))
if ! mountpoint --quiet "$place"; then
  until [[ -b $device ]]; do
    (($(now) < deadline)) || fail "the volume $name did not appear as $device" "$(lsblk 2>&1)" "Look at the provider's console, then: handful machines prepare"
    sleep 0.2
  done
  # 2: there is nothing on it that anybody knows.
  status=0
  found=$(blkid --probe --output export "$device") || status=$?
  ((status == 0 || status == 2)) || fail "what is on the volume $name could not be read" "$found" "See there: blkid --probe $device"
  # It says so, too, of one that it cannot read: what is empty is read, and is nothing but zeros.
  ((status == 0)) || { head=$(head -c 1048576 "$device" | tr -d '\0' | head -c 1 | wc -c) && [[ $head == 0 ]]; } ||
    fail "the volume $name is not empty, and what is on it nobody knows" "$(lsblk 2>&1)" "See there: $device. An empty one gets a file system by itself."
  ((status == 0)) || said=$(mkfs.ext4 -q -m 0 "$device" 2>&1) ||
    fail "the volume $name could not be given a file system" "$said" "Try there: mkfs.ext4 $device"
  # The path stays the same over boots; a machine whose volume is away comes up without it.
  # A disk that was made anew has another path.
  { awk -v place="$place" '$2 != place' /etc/fstab 2>/dev/null || true
    printf '%s %s auto defaults,nofail,x-systemd.before=docker.service 0 2\n' "$device" "$place"; } | put /etc/fstab
  chmod 644 /etc/fstab
  systemctl daemon-reload
  said=$(mount "$place" 2>&1) || fail "the volume $name could not be mounted" "$said" "See there: blkid $device; mount $place"
fi
# Grown at the provider, it grows here.
device=$(findmnt --noheadings --output SOURCE "$place")
if [[ -b $device ]]; then
  case $(findmnt --noheadings --output FSTYPE "$place") in
    ext4) said=$(resize2fs "$device" 2>&1) || fail "the volume $name did not grow" "$said" "Try there: resize2fs $device" ;;
    xfs) said=$(xfs_growfs "$place" 2>&1) || fail "the volume $name did not grow" "$said" "Try there: xfs_growfs $place" ;;
  esac
fi
event prepared "$says"
