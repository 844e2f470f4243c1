"""People come and go: who may sign in follows users.yml at once, and nothing else follows.

All of it is one story, told to both servers; what it left at each stage is looked at afterwards.
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
# One whose day has come, and one whose day has not.
PAST, TO_COME = (datetime.now(UTC).date() + timedelta(days) for days in (-1, 2))
DORA = {"name": "dora", "password": "Dora's own, once", "groups": ["publishers"], "expires": str(PAST)}
EMIL = {"name": "emil", "password": "Emil's own, for now", "groups": ["publishers"], "expires": str(TO_COME)}
ACCOUNT_FILES = ("htpasswd", "htpasswd.fingerprints", "groups", "rights.json")


@pytest.fixture(scope="module")
def story(deploy, servers, all_settings, client_of, put, tmp_path_factory, new_version):
    """What was seen at each stage: {stage: (run, {server: state})}."""
    users = next(iter(all_settings.values()))["pypi_users"]
    one_hash = bcrypt.hashpw(b"a password", bcrypt.gensalt(4)).decode()
    thousand = [{"name": f"user{number}", "password_hash": one_hash} for number in range(1000)]
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
            of_others=[curl(client, *other, settings["pypi_url"] + "simple/").status for other in others],
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

    watched = next(iter(servers.values()))
    watched.check_output("rm -f /run/watch.*; touch /run/watch.on")
    loop = "while [ -e /run/watch.on ]; do cat /proc/[0-9]*/cmdline; sleep 0.1; done >/run/watch.seen 2>/dev/null"
    told = {"before": (None, {server: state(server) for server in servers})}
    told["thousand"] = stage(users + thousand)
    told["thousand again"] = stage(users + thousand)
    watched.check_output("setsid sh -c %s >/dev/null 2>&1 &", loop)
    told["carol"] = stage([*users, CAROL, DORA, EMIL], "-vvv", "--diff")
    watched.check_output("rm /run/watch.on; sleep 0.3")
    told["without carol"] = stage(None)
    told["seen"] = watched.file("/run/watch.seen").content.decode(errors="replace")
    return told


def test_a_new_user_gets_in(story):
    """With the rights of the groups that the user is in."""
    for state in story["before"][1].values():
        assert (state.read, state.upload) == (401, 401)
    for state in story["carol"][1].values():
        assert (state.read, state.upload) == (200, 200)


def test_a_former_user_is_out(story):
    """At once: people leave in anger, too."""
    for state in story["without carol"][1].values():
        assert (state.read, state.upload) == (401, 401)


def test_users_expire(story):
    """A job's login ends by itself, on the day that was said and not before."""
    for state in story["carol"][1].values():
        assert state.of_others == [401, 200]


def test_nothing_else_changes(story):
    """Only the accounts' own files are written, and nobody's download is cut off: Apache is not even reloaded."""
    before = story["before"][1]
    for stage in ("thousand", "carol", "without carol"):
        run, states = story[stage]
        for server, state in states.items():
            assert all(task.startswith("accounts : ") for task in run.changes[server])
            assert state.service == before[server].service
            changed = {path for path, _ in state.files.items() ^ before[server].files.items()}
            assert all(path.rpartition("/")[2] in ACCOUNT_FILES for path in changed)


def test_others_keep_their_hashes(story):
    """A hash that changes for nothing would log everybody out of Apache's memory, and hide a real change."""
    for server, state in story["carol"][1].items():
        before = story["before"][1][server].hashes
        assert before
        assert {name: state.hashes[name] for name in before} == before
        assert set(state.hashes) == {*before, "carol", "dora", "emil"}
        assert story["without carol"][1][server].hashes == before


def test_a_thousand_users(story):
    """All of them are there after one step, and a second run finds nothing to do."""
    run, states = story["thousand again"]
    for server, state in states.items():
        assert len(state.hashes) == 1000 + len(story["before"][1][server].hashes)
        assert story["thousand"][0].hosts[server]["changed"] > 0
        assert run.hosts[server] == {"changed": 0, "failed": 0}


@pytest.fixture
def secrets(story, password_of, servers):
    """All that must not be seen of the story's people."""
    server = next(iter(servers))
    hashes = story["carol"][1][server].hashes.values()
    return [CAROL["password"], password_of(server, "alice"), *hashes, "$2y$12$"]


def test_no_secret_in_the_output(story, secrets):
    """People paste it into tickets, with -vvv and --diff. The diff still names who came."""
    output = story["carol"][0].output
    assert "+carol" in output
    assert not [secret for secret in secrets if secret in output]


def test_no_secret_in_the_process_list(story, secrets):
    """Everybody on the host can read that."""
    assert "python3" in story["seen"]
    assert not [secret for secret in secrets if secret in story["seen"]]
