#!/bin/sh
# The steps of site.yml on a fresh host as a shell script: the same packages, files and services.
# Standard input is a tar archive with the rendered files. The script is not idempotent: it is
# the baseline for the duration of the first deployment.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2
apt-get install --yes --quiet=2 --no-install-recommends ca-certificates python3-venv python3-bcrypt openssl \
    apache2 libapache2-mod-wsgi-py3 logrotate >/dev/null

useradd --system --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin pypi
install -d -m 0755 /srv/pypi /opt/pypi
install -d -m 2750 -o pypi -g www-data /srv/pypi/packages
install -d -m 0755 -o pypi -g pypi /srv/pypi/state
install -d -m 0755 /var/lib/pypi
for name in '' /projects /root /metadata; do install -d -m 2750 -o pypi -g www-data "/var/lib/pypi/pages$name"; done
for name in records locks; do install -d -m 0700 -o pypi -g pypi "/var/lib/pypi/pages/$name"; done
install -d -m 0751 /etc/pypi
install -d -m 0700 /etc/pypi/tls
install -d -m 0751 -g adm /var/log/pypi
install -d -m 2750 -o pypi -g adm /var/log/pypi/audit

# The archive has the site's files, the application, and the link to the active release.
tar -x -C / -f - --no-same-owner
chown root:pypi /etc/pypi/application.conf /etc/pypi/settings.json /etc/pypi/rights.json /etc/pypi/yanked.json
chown root:www-data /etc/pypi/groups
systemd-tmpfiles --create pypi.conf

release=$(readlink -f /opt/pypi/current)
python3 -m venv "$release"
"$release/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --only-binary=:all: \
    --require-hashes --requirement="$release/requirements.txt"
systemctl daemon-reload
pypi-state rebuild

python3 - <<'END' >/etc/pypi/htpasswd
import bcrypt
for name in ("bench", "reader", "verify"):
    print(f"{name}:{bcrypt.hashpw(f'{name}-password'.encode(), bcrypt.gensalt(12)).decode()}")
END
chown root:www-data /etc/pypi/htpasswd
chmod 0640 /etc/pypi/htpasswd

pypi-certificate

a2enmod --quiet allowmethods asis authz_groupfile headers http2 proxy proxy_http remoteip rewrite ssl \
    unique_id >/dev/null
apache2 -t -f /etc/pypi/application.conf 2>/dev/null
pypi-try-site /etc/apache2/sites-available/pypi.conf
a2enconf --quiet pypi-processes >/dev/null
a2dissite --quiet 000-default >/dev/null
a2ensite --quiet pypi >/dev/null
a2dismod --quiet --force autoindex status deflate negotiation access_compat >/dev/null
logrotate --debug /etc/logrotate.d/pypi 2>/dev/null
apache2ctl configtest 2>/dev/null
systemctl enable --quiet --now pypi-pages.path pypi-pages.timer pypi-certificate.timer pypi-application.service \
    pypi-application-proxy.socket
systemctl enable --quiet apache2
systemctl restart apache2
python3 - <<'END'
import ssl, time, urllib.request
for _ in range(20):
    try:
        urllib.request.urlopen("https://127.0.0.1/-/health", context=ssl._create_unverified_context())
        break
    except OSError:
        time.sleep(0.5)
else:
    raise SystemExit("the index does not answer")
END
