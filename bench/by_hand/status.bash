# On the operator's computer: what runs on the machines $@, and how they are; all side by side.
set -euo pipefail
# shellcheck disable=SC2016  # the machine's dollars
look='docker ps --all --format "{{.Names}} {{.Image}} {{.Status}}"
docker inspect --format "{{.Name}} {{.State.Health}} {{.State.StartedAt}} {{.RestartCount}}" $(docker ps --all --quiet)
docker version --format "{{.Server.Version}}"
df -h / /var/lib/docker; free -m; uptime'
processes=()
for machine in "$@"; do
  ssh -F ssh_config "$machine" "$look" | sed "s/^/$machine: /" &
  processes+=("$!")
done
for process in "${processes[@]}"; do wait "$process"; done
