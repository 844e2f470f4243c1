import pypiserver

application = pypiserver.app(roots=["/srv/bench/set/packages"], password_file="/opt/bench/htpasswd")
