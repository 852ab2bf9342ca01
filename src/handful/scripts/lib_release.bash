# An upload becomes a release's folder.

# ready_upload FOLDER: who may read what, and the checksums by which an edit by hand is noticed.
ready_upload() {
  local sums
  find "$1" -type d -exec chmod 700 {} +
  sums=$(cd "$1" && find . -type f ! -name checksums -exec sha256sum {} +)
  put "$1/checksums" <<<"$sums"
  find "$1" -type f -exec chmod 444 {} +
  for sums in "$1" "$1/secrets"; do [[ ! -e $sums/env ]] || chmod 600 "$sums/env" "$sums/env.multiline"; done
}
