# What of the machine's own parts was changed by hand, and of what the proxy has of apps that run on other machines.

# changed_parts: a line for each: `file NAME`, `stranger NAME` (in the proxy's folder, and nobody's), `unknown` (nobody has written
# down what they were) and `unread` (by the running proxy), all of which setting the machine up again mends; `names`.
changed_parts() {
  local sum file conf=$root/proxy/conf routes=$root/proxy/conf/routes.map
  [[ -e $root/checksums ]] || echo unknown
  [[ ! -e $root/proxy/unread ]] || echo unread
  while read -r sum file; do
    [[ -z $sum || $(sha256sum 2>/dev/null <"$root/$file") == "$sum "* ]] || printf 'file %s\n' "$file"
  done < <(content "$root/checksums"; echo)
  [[ ! -s $routes && ! -e $conf/10-edge.cfg ]] || cmp -s "$root/proxy/edge.cfg" "$conf/10-edge.cfg" || echo 'file proxy/conf/10-edge.cfg'
  [[ $(content "$conf/20-ready.cfg") == "$(ready_text)" ]] || echo 'file proxy/conf/20-ready.cfg'
  strangers | sed 's/^/stranger proxy\/conf\//'
  [[ -z $(names_of_stack) && ! -e $root/names/$stack ]] || names_are_right || echo names
}

# reached_drift APP: `reach` when the proxy's part of an app that does not run here is not as it is to be.
reached_drift() {
  # shellcheck disable=SC2034  # the other parts read it
  local app=$1 key keys
  app_paths
  mapfile -t keys < <(reached route)
  [[ $(content "$fragment") == "$(elsewhere_text)" && -z $(stale_routes "${keys[@]}") ]] || { echo reach && return; }
  # Another app of the stack may have one until it gives it up.
  for key in "${keys[@]}"; do [[ $(owner_of "$key") == "$stack".* ]] || { echo reach && return; }; done
}
