# Upgrades Docker to what the machine's package sources have. What runs goes on meanwhile, by live-restore; without that it is not begun.
: "${stack:?}"
# uses: prelude lib_apt
running() { docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort; }
version() { docker version --format '{{.Server.Version}}'; }

# It fails when one of them is nowhere known.
mapfile -t packages < <({ dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' \
  docker.io docker-cli containerd runc docker-ce docker-ce-cli containerd.io docker-buildx-plugin 2>/dev/null || true; } | sed -n 's/^installed //p')
((${#packages[@]})) || fail "Docker did not come from packages of the distribution, or of Docker's own" "" "Upgrade it the way it was installed."
update_lists
before=$(version)
newer=$(apt --simulate install --only-upgrade "${packages[@]}" | sed -n 's/^Inst \([^ ]*\).*/\1/p' | tr '\n' ' ')
if [[ -z $newer ]]; then
  event upgraded "Docker $before: there is nothing newer"
  exit 0
fi
[[ $(docker info --format '{{.LiveRestoreEnabled}}') == true ]] ||
  fail "Docker would stop what runs while it is upgraded" "" "Let it go on meanwhile: handful machines prepare sets live-restore. Nothing was changed."
kept=$(running)
said=$(apt install --yes --only-upgrade "${packages[@]}") || fail "Docker could not be upgraded" "$(tail -n 10 <<<"$said")" "Try there: apt-get install --only-upgrade ${packages[*]}"
deadline=$(($(now) + 6000))
until version >/dev/null 2>&1; do
  (($(now) < deadline)) || fail "Docker does not answer after its upgrade" "$(journalctl --unit docker --lines 10 --no-pager --output cat 2>/dev/null)" "See there: systemctl status docker"
  sleep 0.2
done
# What an app has started or stopped by itself meanwhile is none of it: each is looked for.
lost=$(comm -23 <(printf '%s\n' "$kept") <(running) | cut -d ' ' -f 2 | tr '\n' ' ')
[[ -z ${lost// /} ]] || fail "these containers did not go on while Docker was upgraded: $lost" "" "handful status shows them; handful apply brings back what is to run."
event upgraded "Docker $before → $(version), and what runs went on: $newer"
