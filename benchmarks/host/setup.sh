#!/bin/sh
# Installs the other set-ups and the tools on the measured host. Run as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
here=/opt/bench
apt-get update --quiet=2
apt-get install --yes --quiet=2 --no-install-recommends apache2 apache2-utils ca-certificates libapache2-mod-wsgi-py3 \
    nginx-light python3-venv wrk >/dev/null
systemctl disable --quiet --now nginx

python3 -m venv $here/devpi
$here/devpi/bin/pip install --quiet --disable-pip-version-check devpi-server uv
python3 -m venv $here/tutorial
$here/tutorial/bin/pip install --quiet --disable-pip-version-check 'pypiserver[passlib]'
htpasswd -cb $here/htpasswd bench bench-password

mkdir -p /srv/bench/set/packages /srv/bench/bare/packages /srv/bench/bare/simple
chown www-data /srv/bench/set/packages
for unit in bare tutorial nginx devpi; do
    case $unit in
    bare | tutorial) start="/usr/sbin/apache2 -D FOREGROUND -f $here/host/$unit.conf" ;;
    nginx) start="/usr/sbin/nginx -c $here/host/nginx.conf -g 'daemon off;'" ;;
    devpi) start="$here/devpi/bin/devpi-server --serverdir /srv/bench/devpi/current --host 127.0.0.1 --port 3141" ;;
    esac
    printf '[Service]\nExecStart=%s\nLimitNOFILE=65536\n' "$start" >"/etc/systemd/system/bench-$unit.service"
done
systemctl daemon-reload
