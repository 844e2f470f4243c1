#!/bin/sh
# Prints the versions of the measured programs, one "name version" per line.
. /etc/os-release
echo "Debian $(cat /etc/debian_version)"
for package in apache2 libapache2-mod-wsgi-py3 nginx-light openssl python3 wrk; do
    dpkg-query --show --showformat '${Package} ${Version}\n' "$package" 2>/dev/null
done
for name in devpi-server uv; do echo "$name $(/opt/bench/devpi/bin/pip show $name 2>/dev/null | sed -n 's/^Version: //p')"; done
for name in pypiserver pip; do echo "$name $(/opt/bench/tutorial/bin/pip show $name 2>/dev/null | sed -n 's/^Version: //p')"; done
