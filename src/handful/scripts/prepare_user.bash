# Makes the user who logs in from now on: with the keys that let in who does now, and sudo without a password.
: "${says:?}" "${user:?}" "${keys:?}"
# uses: prelude
getent passwd "$user" >/dev/null || useradd --create-home --shell /bin/bash "$user"
home=$(getent passwd "$user" | cut -d : -f 6)
install -d -m 700 -o "$user" -g "$(id -gn "$user")" "$home/.ssh"
touch "$home/.ssh/authorized_keys"
while IFS= read -r key; do
  [[ -z $key || $key == \#* ]] || grep -qsxF -- "$key" "$home/.ssh/authorized_keys" || printf '%s\n' "$key" >>"$home/.ssh/authorized_keys"
done <<<"$keys"
chmod 600 "$home/.ssh/authorized_keys"
chown "$user:$(id -gn "$user")" "$home/.ssh/authorized_keys"
# sudo leaves out files with a dot in their name.
put "/etc/sudoers.d/90-handful-${user//./_}" <<<"$user ALL=(ALL) NOPASSWD:ALL"
chmod 440 "/etc/sudoers.d/90-handful-${user//./_}"
event prepared "$says"
