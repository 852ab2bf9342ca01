# A machine of the lab: what a fresh Debian server has, and (unless DOCKER is empty) Debian's Docker.
ARG BASE
FROM ${BASE}
RUN rm -f /usr/sbin/policy-rc.d \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      systemd systemd-sysv dbus libpam-systemd openssh-server iproute2 iptables nftables ca-certificates procps sudo \
      cron curl python3-minimal \
 && apt-get clean && rm -rf /var/lib/apt/lists/*
ARG DOCKER=""
RUN test -z "$DOCKER" || { \
      apt-get update \
   && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $DOCKER \
   && apt-get clean && rm -rf /var/lib/apt/lists/*; }

# Host keys are each machine's own, made at its first boot. Unlike a real server, a lab does not punish a
# source address that drops connections (OpenSSH 9.8 and later do): all of a test's connections come from one.
COPY sshd_lab.conf /etc/ssh/sshd_config.d/lab.conf
RUN mkdir -p /run/sshd /etc/ssh/lab_keys \
 && { ! sshd -t -o PerSourcePenalties=no 2>/dev/null || echo "PerSourcePenalties no" >>/etc/ssh/sshd_config.d/lab.conf; } \
 && sshd -t && rm -f /etc/ssh/ssh_host_* /etc/machine-id && touch /etc/machine-id

# The inner Docker keeps off the lab's own addresses and off those that handful gives.
COPY daemon.json /etc/docker/daemon.json
RUN test -n "$DOCKER" || rm -r /etc/docker

RUN systemctl mask systemd-modules-load.service apt-daily.timer apt-daily-upgrade.timer
COPY machine_init.bash /usr/local/sbin/machine_init.bash
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/bin/bash", "/usr/local/sbin/machine_init.bash"]
