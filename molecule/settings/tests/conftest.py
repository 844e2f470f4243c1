"""What the tests of this scenario share: its servers differ, so tests name the one they mean."""

import pytest
from shared.http import curl
from shared.uploads import TYPE, form


@pytest.fixture(scope="session")
def request_from(clients, all_settings, password_of):
    """A way to make a request of a server from a client machine, as a user, or as (user, password)."""

    def request_from(where: str, server: str, path: str, *options: str, who=None):
        credentials = []
        if who:
            name, password = (who, password_of(server, who)) if isinstance(who, str) else who
            credentials = ["--user", f"{name}:{password}"]
        return curl(clients[where], *credentials, *options, all_settings[server]["pypi_url"] + path)

    return request_from


@pytest.fixture(scope="session")
def send_from(request_from, clients, put):
    """A way to upload a file to a server from a client machine."""

    def send_from(where: str, server: str, name: str, content: bytes, *options: str, who=None):
        body = put(clients[where], "/root/body", form(name, content))
        how = ["--header", TYPE, "--header", "Expect:", "--data-binary", f"@{body}"]
        return request_from(where, server, "", *how, *options, who=who)

    return send_from
