# Moves an uploaded release into its place, unless it is there already.
: "${stack:?}" "${app:?}" "${release:?}"
# uses: prelude lib_release
source=$HANDFUL_SESSION/releases/$app
target=$root/stacks/$stack/apps/$app/releases/$release
[[ ! -e $target/run_app.bash ]] || exit 0
ready_upload "$source"
printf '%s\n' "$target" >>"$HANDFUL_SESSION/uploaded"
mkdir -p "${target%/*}"
rm -rf "$target.new"
said=$(cp -r --preserve=mode "$source" "$target.new" 2>&1) || {
  rm -rf "$target.new"
  fail "the release $release of $app could not be stored on this machine" "$said" "$(still) Is there disk left? See: handful status"
}
mv -T "$target.new" "$target"
