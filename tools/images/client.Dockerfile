# A developer's machine: Debian's own pip, and the current packaging tools in
# /opt/clients. It uses the index and is not under test, so all it needs is here.
ARG BASE
FROM ${BASE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      ca-certificates curl openssl python3-pip python3-venv \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/*
# A company's own certificate authorities, if the control node trusts any.
COPY certificates/ /usr/local/share/ca-certificates/
RUN update-ca-certificates
# promtool checks the alert rules and the metrics. In Debian 12, it is in the package of the server,
# of which nothing else is needed.
RUN apt-get update \
 && cd /tmp \
 && { apt-get download promtool || apt-get download prometheus; } \
 && dpkg-deb --fsys-tarfile prom*.deb | tar --extract --directory / ./usr/bin/promtool \
 && rm prom*.deb \
 && rm -rf /var/lib/apt/lists/*
COPY clients.txt /opt/clients.txt
RUN python3 -m venv /opt/clients \
 && /opt/clients/bin/pip install --no-cache-dir --require-hashes --requirement /opt/clients.txt
CMD ["sleep", "infinity"]
