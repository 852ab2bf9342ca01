# Puts the files of a release that is here back to what they were, by an upload of the same release.
: "${stack:?}" "${app:?}" "${release:?}"
# uses: prelude lib_release
source=$HANDFUL_SESSION/releases/$app
target=$root/stacks/$stack/apps/$app/releases/$release
ready_upload "$source"
# In their place: containers have them mounted.
said=$(cp -r --preserve=mode "$source/." "$target" 2>&1) ||
  fail "the release $release of $app could not be put right" "$said" "Is there disk left? See: handful status"
while read -r file; do rm -f -- "${target:?}/$file"; done < <(comm -13 <(cd "$source" && find . -type f | sort) <(cd "$target" && find . -type f | sort))
event mended "the files of $app $release are as they were" app "$app"
