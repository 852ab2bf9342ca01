# Restarts the engine, and with it every container.
# systemd allows it a few times within a minute only.
systemctl reset-failed docker.service docker.socket || true
systemctl restart docker
