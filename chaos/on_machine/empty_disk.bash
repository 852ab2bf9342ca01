# Puts what is on the stack's own disk back where it was.
: "${stack:?}"
folder=/var/lib/handful/stacks/$stack
rm -f "$folder/filled"
# A drain that goes on may have a file open.
umount -l "$folder"
rm -rf "$folder.new"
cp -a /tmp/small "$folder.new"
find "$folder" -mindepth 1 -delete
cp -a "$folder.new/." "$folder/"
rm -rf "$folder.new"
umount -l /tmp/small
