# Kills the proxy as a lack of memory would.
kill -9 "$(docker inspect --format '{{.State.Pid}}' handful-proxy)"
