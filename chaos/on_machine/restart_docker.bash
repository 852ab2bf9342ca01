# Restarts the engine, and with it every container.
systemctl restart docker
