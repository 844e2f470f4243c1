"""Add, expire and remove users: changes take effect at once, and nothing else changes.

The runs are made once for all servers; each test checks one property of the recorded states.
"""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import bcrypt
import pytest
from shared import snapshot
from shared.http import curl
from shared.uploads import TYPE, form
from support.archives import fitting

CAROL = {"name": "carol", "password": "Carol's own, and very secret", "groups": ["publishers"]}
# One expired user, and one who has not expired yet.
PAST, FUTURE = (datetime.now(UTC).date() + timedelta(days) for days in (-1, 2))
DORA = {"name": "dora", "password": "Dora's own, once", "groups": ["publishers"], "expires": str(PAST)}
EMIL = {"name": "emil", "password": "Emil's own, for now", "groups": ["publishers"], "expires": str(FUTURE)}
ACCOUNT_FILES = ("htpasswd", "htpasswd.fingerprints", "groups", "rights.json")


@pytest.fixture(scope="module")
def runs(deploy, servers, all_settings, client_of, put, tmp_path_factory, new_version):
    """Record the state after each run: {stage: (run, {server: state})}."""
    users = next(iter(all_settings.values()))["pypi_users"]
    password_hash = bcrypt.hashpw(b"a password", bcrypt.gensalt(4)).decode()
    thousand = [{"name": f"user{number}", "password_hash": password_hash} for number in range(1000)]
    directory = tmp_path_factory.mktemp("users")

    def state(server):
        host, settings, client = servers[server], all_settings[server], client_of(server)
        login, *others = (["--user", f"{user['name']}:{user['password']}"] for user in (CAROL, DORA, EMIL))
        name = f"acme_carol-{new_version()}-py3-none-any.whl"
        body = put(client, "/root/body", form(name, fitting(name)))
        return SimpleNamespace(
            files=snapshot.files(host, settings),
            service=snapshot.service(host),
            hashes=dict(
                line.split(":", 1)
                for line in host.file(f"{settings['pypi_config_dir']}/htpasswd").content_string.splitlines()
            ),
            read=curl(client, *login, settings["pypi_url"] + "simple/").status,
            read_by_others=[curl(client, *other, settings["pypi_url"] + "simple/").status for other in others],
            upload=curl(client, *login, "--header", TYPE, "--data-binary", f"@{body}", settings["pypi_url"]).status,
        )

    def stage(users, *options):
        arguments = []
        if users:
            file = directory / "users.json"
            file.write_text(json.dumps({"pypi_users": users}), encoding="utf-8")
            arguments = ["--extra-vars", f"@{file}"]
        run = deploy("--tags", "accounts", *arguments, *options)
        assert run.code == 0, run.output
        return run, {server: state(server) for server in servers}

    first_server = next(iter(servers.values()))
    first_server.check_output("rm -f /run/watch.*; touch /run/watch.on")
    loop = "while [ -e /run/watch.on ]; do cat /proc/[0-9]*/cmdline; sleep 0.1; done >/run/watch.seen 2>/dev/null"
    stages = {"before": (None, {server: state(server) for server in servers})}
    stages["thousand"] = stage(users + thousand)
    stages["thousand again"] = stage(users + thousand)
    first_server.check_output("setsid sh -c %s >/dev/null 2>&1 &", loop)
    stages["carol"] = stage([*users, CAROL, DORA, EMIL], "-vvv", "--diff")
    first_server.check_output("rm /run/watch.on; sleep 0.3")
    stages["without carol"] = stage(None)
    stages["command lines"] = first_server.file("/run/watch.seen").content.decode(errors="replace")
    return stages


def test_new_user_has_access(runs):
    """A new user has the rights of the user's groups."""
    for state in runs["before"][1].values():
        assert (state.read, state.upload) == (401, 401)
    for state in runs["carol"][1].values():
        assert (state.read, state.upload) == (200, 200)


def test_removed_user_has_no_access(runs):
    """A removed user is rejected immediately after the run."""
    for state in runs["without carol"][1].values():
        assert (state.read, state.upload) == (401, 401)


def test_expired_user_has_no_access(runs):
    """A user is rejected from the expiry date on, and accepted before."""
    for state in runs["carol"][1].values():
        assert state.read_by_others == [401, 200]


def test_nothing_else_changes(runs):
    """Only the account files are written, and Apache is not even reloaded."""
    before = runs["before"][1]
    for stage in ("thousand", "carol", "without carol"):
        run, states = runs[stage]
        for server, state in states.items():
            assert all(task.startswith("accounts : ") for task in run.changes[server])
            assert state.service == before[server].service
            changed = {path for path, _ in state.files.items() ^ before[server].files.items()}
            assert all(path.rpartition("/")[2] in ACCOUNT_FILES for path in changed)


def test_other_users_keep_their_hashes(runs):
    """Unchanged hashes keep Apache's password cache valid, and make real changes visible."""
    for server, state in runs["carol"][1].items():
        before = runs["before"][1][server].hashes
        assert before
        assert {name: state.hashes[name] for name in before} == before
        assert set(state.hashes) == {*before, "carol", "dora", "emil"}
        assert runs["without carol"][1][server].hashes == before


def test_adds_a_thousand_users_idempotently(runs):
    """One run adds all of them, and a second run changes nothing."""
    run, states = runs["thousand again"]
    for server, state in states.items():
        assert len(state.hashes) == 1000 + len(runs["before"][1][server].hashes)
        assert runs["thousand"][0].hosts[server]["changed"] > 0
        assert run.hosts[server] == {"changed": 0, "failed": 0}


@pytest.fixture
def secrets(runs, password_of, servers):
    """Return the passwords and hashes that must not be disclosed."""
    server = next(iter(servers))
    hashes = runs["carol"][1][server].hashes.values()
    return [CAROL["password"], password_of(server, "alice"), *hashes, "$2y$12$"]


def test_no_secret_in_the_output(runs, secrets):
    """Output with -vvv and --diff contains user names but no passwords or hashes."""
    output = runs["carol"][0].output
    assert "+carol" in output
    assert not [secret for secret in secrets if secret in output]


def test_no_secret_in_the_process_list(runs, secrets):
    """Process lists are readable by all users of the host."""
    assert "python3" in runs["command lines"]
    assert not [secret for secret in secrets if secret in runs["command lines"]]
