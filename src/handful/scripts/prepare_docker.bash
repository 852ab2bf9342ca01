# Tells Docker how to do here; what the machine's owner has said of it stays, and so does what runs.
: "${says:?}" "${text:?}"
# uses: prelude
file=/etc/docker/daemon.json
mkdir -p /etc/docker
[[ ! -f $file || -e $file.before-handful ]] || cp --preserve -- "$file" "$file.before-handful"
old=$(mktemp) there=
trap 'rm -f "$old"' EXIT
[[ ! -f $file ]] || { cp --preserve -- "$file" "$old" && there=yes; }
put "$file" <<<"$text"
chmod 644 "$file"
running=0
! type -P docker >/dev/null || running=$(docker ps --quiet 2>/dev/null | wc -l)
if ! type -P dockerd >/dev/null; then
  # It begins with them when it is installed.
  event prepared "$says"
elif ((running)); then
  # Docker heeds live-restore at once; the rest when it starts next, and containers of now keep their log files.
  systemctl reload docker
  event prepared "$says, wholly in force when Docker starts next: $running containers run now"
else
  systemctl restart docker || {
    said=$(journalctl --unit docker --lines 10 --no-pager --output cat 2>/dev/null || true)
    if [[ -n $there ]]; then cp --preserve -- "$old" "$file"; else rm -f "$file"; fi
    systemctl restart docker || fail "Docker starts neither with its new settings, nor with those of before, which are back" "$said" "See there: $file"
    fail "Docker did not start with its new settings, and has those of before" "$said" "See there: $file"
  }
  event prepared "$says"
fi
