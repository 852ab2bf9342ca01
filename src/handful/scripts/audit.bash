# What on this machine may let strangers in, or a container out: a line for each thing, its value in base64. Changes nothing.
: "${stack:?}"
# uses: prelude
# plan/audit.py says what of it is bad. No container's environment is among it.
tell() { printf '%s %s\n' "$1" "$(printf '%s' "$2" | base64 -w 0)"; }
asked() { "$@" 2>/dev/null || true; }

tell sshd "$(asked sshd -T)"
tell empty_passwords "$(awk -F : '$2 == "" { print $1 }' /etc/shadow)"
tell firewall "$(bash "$root/firewall.bash" check 2>/dev/null && echo yes || true)"
tell opened "$(cat "$root"/stacks/*/open 2>/dev/null | awk '$1 != "from" && $1 != "tunnel" { sub("ssh", "tcp", $1); print $2 "/" $1 }' || true)"
tell upgrades "$([[ -e /etc/apt/apt.conf.d/60handful && $(asked systemctl is-enabled apt-daily-upgrade.timer) != disabled ]] && echo yes || true)"
tell reboot "$([[ ! -e /run/reboot-required ]] || echo yes)"
tell socket "$(asked stat --format %a /run/docker.sock)"
tell listening "$(ss -Hltnup)"
tell docker_group "$(asked getent group docker | cut -d : -f 4)"
tell writable "$(asked find /etc/docker "$root" -maxdepth 1 \( -perm -g=w -o -perm -o=w -o ! -user root \))"
tell readable "$(asked find "$root"/stacks/*/apps/*/releases/*/secrets -maxdepth 0 -perm /077)"
mapfile -t ids < <(asked docker ps --quiet --no-trunc)
((${#ids[@]})) || exit 0
tell containers "$(asked docker inspect --format '{"name":{{json .Name}},"host":{{json .HostConfig}},"mounts":{{json .Mounts}}}' "${ids[@]}")"
