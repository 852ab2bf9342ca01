# What this machine is before handful prepares it: a line for each thing, its value in base64. Changes nothing.
: "${stack:?}" "${packages:?}" "${files:?}" "${user?}"
# uses: prelude
# `packages`, `files`: arrays of what is asked for; `user`: who is to log in from now on, "" for whoever does.
# A machine that was just made is not ready when ssh is: see docs/decisions/0025.
patience=${HANDFUL_PATIENCE:-600}

tell() { printf '%s %s\n' "$1" "$(printf '%s' "$2" | base64 -w 0)"; }
# Nothing of it is an error: what is not there is told as nothing.
asked() { "$@" 2>/dev/null || true; }

cloud_init() {
  local status=0
  type -P cloud-init >/dev/null || return 0
  # 2: it is done, and has complained of something.
  timeout "$patience" cloud-init status --wait >/dev/null 2>&1 || status=$?
  ((status == 0 || status == 2)) || tail -n 15 /var/log/cloud-init-output.log 2>/dev/null || echo "exit code $status"
}

# The keys that let in who is asking now; root may be let in by a file of the machine's own.
keys_of_login() {
  local login=${SUDO_USER:-root} home pattern file
  home=$(getent passwd "$login" | cut -d : -f 6)
  while read -r pattern; do
    pattern=${pattern//%h/$home} pattern=${pattern//%u/$login}
    [[ $pattern == /* ]] || pattern=$home/$pattern
    file=$pattern
    [[ ! -f $file ]] || cat -- "$file"
  done < <(sshd -T 2>/dev/null | sed -n 's/^authorizedkeysfile //p' | tr ' ' '\n')
}

# The words of the Docker that is at work; what it was told so, daemon.json may not say, too.
dockerd_words() {
  local pid
  type -P dockerd >/dev/null || return 0
  pid=$(pidof -s dockerd || true)
  if [[ -n $pid ]]; then tr '\0' ' ' <"/proc/$pid/cmdline"; else echo installed; fi
}

# grown MOUNTPOINT: whether the device has become larger than the file system on it.
grown() {
  local device bytes blocks size spare=$((16 * 1024 * 1024))
  device=$(findmnt --noheadings --output SOURCE "$1")
  [[ -b $device ]] || { echo whole && return 0; }
  bytes=$(blockdev --getsize64 "$device")
  # What a file system keeps for itself is not in what stat tells: ext4 is asked.
  read -r blocks size < <(dumpe2fs -h "$device" 2>/dev/null | awk -F: '/^Block count/ { count = $2 } /^Block size/ { print count, $2 }') || true
  # Others are known by what can be used of them.
  [[ -n ${blocks:-} ]] || { read -r blocks size < <(stat --file-system --format '%b %S' "$1") && spare=$((bytes / 10)); }
  # The last piece of a device may be too small for anything.
  if ((blocks * size < bytes - spare)); then echo grown; else echo whole; fi
}

# What listens beyond loopback, but for what handful itself runs: that is meant to be closed, where no stack opens it.
others_listen() {
  local line pid own ids=()
  mapfile -t ids < <(asked docker ps --quiet --no-trunc --filter label=handful.part)
  own=$(IFS='|' && echo "${ids[*]:-nothing-of-handful}")
  while read -r line; do
    pid=${line##*pid=} pid=${pid%%,*}
    grep -qsE "$own" "/proc/$pid/cgroup" || printf '%s\n' "$line"
  done < <(ss -Hltnup | grep -v '127\.0\.0\.\|\[::1\]' || true)
}

tell trouble "$(cloud_init)"
# shellcheck source=/dev/null
tell os "$(. /etc/os-release && printf '%s %s' "$ID" "${VERSION_ID:-}")"
tell virtual "$(asked systemd-detect-virt --container)"
tell memory "$(awk '/^MemTotal:/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)"
tell disks "$(for place in "$root"/disks/*; do mountpoint --quiet "$place" && printf '%s %s\n' "${place##*/}" "$(grown "$place")"; done || true)"
tell swap "$(awk '/^SwapTotal:/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)"
tell disk "$(df --output=avail --block-size=1 / | tail -n 1)"
# ADDRESS PORT ADDRESS PORT, as sshd has it of this very session; sudo may have forgotten it.
session=${SSH_CONNECTION:-$(tr '\0' '\n' <"/proc/$PPID/environ" | sed -n 's/^SSH_CONNECTION=//p')}
tell port "${session##* }"
tell sshd "$(asked sshd -T | grep -E '^(port|passwordauthentication|kbdinteractiveauthentication|permitrootlogin|maxstartups|allowtcpforwarding) ')"
tell login "${SUDO_USER:-root}"
tell keys "$(keys_of_login)"
if [[ -n $user ]]; then
  tell user "$(asked getent passwd "$user")"
  home=$(asked getent passwd "$user" | cut -d : -f 6)
  tell user_keys "$(asked cat -- "$home/.ssh/authorized_keys")"
fi
tell packages "$({ dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true; } | sed -n 's/^installed //p')"
tell docker "$(asked docker version --format '{{.Server.Version}}')"
tell dockerd "$(dockerd_words)"
tell prepared "$(content "$root/prepared.json")"
tell swarm "$(asked docker info --format '{{.Swarm.LocalNodeState}}')"
tell time "$(asked systemctl is-active chrony ntpsec systemd-timesyncd | grep -c '^active$' || true)"
tell firewall "$([[ $(asked systemctl is-enabled handful-firewall.service) != enabled ]] || { bash "$root/firewall.bash" check && echo yes; } || true)"
tell own_open "$(content "$root/stacks/$stack/open")"
tell opened "$(cat "$root"/stacks/*/open 2>/dev/null | awk '$1 != "from" && $1 != "tunnel" { sub("ssh", "tcp", $1); print $2 "/" $1 }' || true)"
tell stacks "$(asked ls "$root/stacks")"
tell listening "$(others_listen)"
tell networks "$(ip -4 route show | awk '$1 ~ /\// { print $1, $3 }')"
tell kernel_wireguard "$( { [[ -d /sys/module/wireguard ]] || modprobe --dry-run --quiet wireguard 2>/dev/null; } && echo yes || true)"
tell wireguard_key "$([[ ! -s $root/wireguard.key ]] || wg pubkey <"$root/wireguard.key")"
tell wireguard_up "$(ip link show handful >/dev/null 2>&1 && [[ $(asked systemctl is-enabled handful-wireguard.service) == enabled ]] && echo yes || true)"
tell peers "$(content "$root/stacks/$stack/peers")"
# Whatever host its packages come from.
host=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -o -m 1 'https\?://[^/: ]*' | sed 's|.*//||' || true)
tell resolves "$(if [[ -n $host ]]; then asked timeout 5 getent hosts "$host"; else echo unasked; fi)"
tell reboot "$([[ ! -e /run/reboot-required ]] || echo yes)"
for file in "${files[@]}"; do
  [[ ! -f $file ]] || tell "file:$file" "$(<"$file")"
done
