# A fresh Debian host, as an installer or a cloud provider leaves it: systemd,
# Python, and an account that may use sudo. Nothing that the roles install.
ARG BASE
FROM ${BASE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      dbus iproute2 python3 python3-apt sudo systemd-sysv \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* \
# Debian's container images keep packages from starting their services, and
# throw downloaded packages away. Hosts do neither.
 && rm -f /usr/sbin/policy-rc.d /etc/apt/apt.conf.d/docker-clean \
 && useradd --create-home --shell /bin/bash admin \
 && echo 'admin ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/admin
STOPSIGNAL SIGRTMIN+3
# With version 2 of control groups /sys/fs/cgroup comes read-only, and systemd
# has to write there.
CMD ["/bin/sh", "-c", "mount -o remount,rw /sys/fs/cgroup; exec /sbin/init"]
