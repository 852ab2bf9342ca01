# Installs packages of the distribution.
: "${says:?}" "${packages:?}"
# uses: prelude lib_apt
# `packages`: names, separated by spaces.
read -ra names <<<"$packages"
update_lists
said=$(apt install --yes --no-remove --no-install-recommends "${names[@]}") ||
  fail "packages could not be installed: $packages" "$(tail -n 10 <<<"$said")" "Try there: apt-get install $packages. What is broken, this may mend: dpkg --configure -a"
event prepared "$says"
