# Packages of the distribution.

# Another apt may be at work, as on a machine that was just made; nothing here asks anybody, and settings of ones own stay.
apt() {
  DEBIAN_FRONTEND=noninteractive apt-get --quiet --option DPkg::Lock::Timeout=300 \
    --option Dpkg::Options::=--force-confdef --option Dpkg::Options::=--force-confold "$@" 2>&1
}

update_lists() {
  local said
  said=$(apt update) || fail "apt cannot read its lists of packages" "$(tail -n 5 <<<"$said")" "Is the machine's network right? Try there: apt-get update"
}
