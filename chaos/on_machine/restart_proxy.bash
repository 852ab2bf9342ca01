# Restarts the proxy's container.
docker restart -t 1 handful-proxy >/dev/null
