# Gives a small machine swap, now and at each boot.
: "${says:?}" "${megabytes:?}"
# uses: prelude
file=/swapfile
[[ -e $file ]] || { fallocate --length "${megabytes}MiB" "$file.new" && chmod 600 "$file.new" && mkswap --quiet "$file.new" && mv "$file.new" "$file"; }
grep -qs "^$file " /etc/fstab || printf '%s none swap sw 0 0\n' "$file" >>/etc/fstab
swapon "$file"
event prepared "$says"
