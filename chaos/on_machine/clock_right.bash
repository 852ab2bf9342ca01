# Undoes clock_ahead.bash.
rm -f /usr/local/bin/date
