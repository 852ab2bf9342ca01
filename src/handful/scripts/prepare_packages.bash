# Installs packages of the distribution.
: "${says:?}" "${packages:?}"
# uses: prelude
# `packages`: names, separated by spaces.
read -ra names <<<"$packages"
# Another apt may be at work, as on a machine that was just made; nothing here asks anybody, and settings of ones own stay.
apt() {
  DEBIAN_FRONTEND=noninteractive apt-get --quiet --option DPkg::Lock::Timeout=300 \
    --option Dpkg::Options::=--force-confdef --option Dpkg::Options::=--force-confold "$@" 2>&1
}
said=$(apt update) || fail "apt cannot read its lists of packages" "$(tail -n 5 <<<"$said")" "Is the machine's network right? Try there: apt-get update"
said=$(apt install --yes --no-remove --no-install-recommends "${names[@]}") ||
  fail "packages could not be installed: $packages" "$(tail -n 10 <<<"$said")" "Try there: apt-get install $packages. What is broken, this may mend: dpkg --configure -a"
event prepared "$says"
