# Tells Docker how to do here; what the machine's owner has said of it stays, and so does what runs.
: "${says:?}" "${text:?}"
# uses: prelude
file=/etc/docker/daemon.json
mkdir -p /etc/docker
[[ ! -f $file || -e $file.before-handful ]] || cp --preserve -- "$file" "$file.before-handful"
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
    [[ ! -f $file.before-handful ]] || cp -- "$file.before-handful" "$file"
    systemctl restart docker || true
    fail "Docker did not start with its new settings, and has its old ones" "$(journalctl --unit docker --lines 10 --no-pager --output cat 2>/dev/null)" "See there: $file"
  }
  event prepared "$says"
fi
