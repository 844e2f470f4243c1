"""Fixtures of the settings scenario. Its servers differ, so tests name the server that they use."""

import pytest
from shared.http import curl
from shared.uploads import TYPE, form


@pytest.fixture(scope="session")
def request_from(clients, all_settings, password_of):
    """Send a request to a server from a client container, as a user or as (user, password)."""

    def request_from(client: str, server: str, path: str, *options: str, user=None):
        credentials = []
        if user:
            name, password = (user, password_of(server, user)) if isinstance(user, str) else user
            credentials = ["--user", f"{name}:{password}"]
        return curl(clients[client], *credentials, *options, all_settings[server]["pypi_url"] + path)

    return request_from


@pytest.fixture(scope="session")
def send_from(request_from, clients, put):
    """Upload a file to a server from a client container."""

    def send_from(client: str, server: str, name: str, content: bytes, *options: str, user=None):
        body = put(clients[client], "/root/body", form(name, content))
        arguments = ["--header", TYPE, "--header", "Expect:", "--data-binary", f"@{body}"]
        return request_from(client, server, "", *arguments, *options, user=user)

    return send_from
