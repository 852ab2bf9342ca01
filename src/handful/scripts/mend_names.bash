# Writes a stack's names anew, and who may be asked whether apps are ready.
: "${stack:?}"
# uses: prelude lib_fragment lib_proxy lib_work
lock_machine
sync_names
# shellcheck disable=SC2034  # lib_fragment and lib_proxy read them
conf=$root/proxy/conf fragment=$conf/none
write_ready
reload_proxy
event mended "the names of $stack are as they are to be"
