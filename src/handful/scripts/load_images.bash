# Takes whole images from stdin, packed, where no registry can be reached; docker writes all of it down before it unpacks it.
: "${images:?}" "${packer:?}"
# uses: prelude lib_images
# `images`: see lib_images; `packer`: what the operator would pack with, gzip or zstd.
check_room 2
[[ $packer != zstd ]] || command -v zstd >/dev/null || packer=gzip
# The operator waits for this word.
printf '%s\n' "$packer"
unpacked() { if [[ $packer == zstd ]]; then zstd --decompress --quiet --stdout; else cat; fi; }
# Whoever is gone has sent less than a whole image, which docker refuses.
said=$(unpacked | docker load --quiet 2>&1) || fail "the images could not be loaded" "$(tail -n 10 <<<"$said")" "$old_serves Is there disk left? See: handful status"
while read -r name _; do
  [[ $name != [-+] ]] || continue
  # So that Docker knows since when it is here.
  docker tag "$name" "$name"
  need_right "$name"
done <<<"$images"
