"""Many at once: publishers who want the same names, and installers all the while. Slow clients: see attack."""

from collections import Counter
from functools import partial

import pytest
from hunting import Outcome, in_background
from shared.client_env import ClientEnvironment

INSTALL = """
good=0; bad=0
while [ ! -e /root/stop ]; do
    for number in 0 1 2 3 4; do
        {program} --target there --no-deps {options} --index-url {url} installed-$number >log 2>&1 && good=$((good+1)) \
            || {{ bad=$((bad+1)); tail -n 2 log; }}
        rm -rf there
    done
done
echo installed $good $bad
"""
PROGRAMS = {"/opt/clients/bin/pip install": "--no-cache-dir", "uv pip install": "--no-cache"}


@pytest.fixture(scope="module")
def crowded(everywhere, put):
    """What came of fifty clients who publish 500 files, some of them under one name: {server: outcome}."""

    def install(hunt, program: str) -> str:
        login = {"user": "alice", "password": hunt.password, "url": hunt.settings["pypi_url"], "host": hunt.server}
        url = login["url"].replace("://", f"://alice:{hunt.password}@")
        env = ClientEnvironment(hunt.client, put, login | {"url_with_login": url})
        script = INSTALL.format(program=program, options=PROGRAMS[program], url=f"{url}simple/")
        env.write("install", script.replace("{", "{{").replace("}", "}}"))
        return env.run("sh install").stdout

    def hunt(hunt):
        hunt.clear()
        base = [{"name": f"installed_{number}-1.0-py3-none-any.whl", "size": 5000} for number in range(5)]
        assert all(file["statuses"] == [200] for file in hunt.load("installed", base)["files"])
        # 400 files of their own, and 20 names with five senders each, whose bytes differ.
        files = hunt.files("crowd", 400, {2000: 60, 50_000: 40}, over=40)
        contested = [f"crowd_contested_{number % 4}-2.{number}-py3-none-any.whl" for number in range(20)]
        files += [{"name": name, "size": 2000, "salt": str(sender)} for name in contested for sender in range(5)]
        hunt.chance.shuffle(files)
        outcome = Outcome("50 clients publish 500 files at once", len(files))
        installers = [partial(install, hunt, program) for program in PROGRAMS]
        with in_background(installers[0]) as pip, in_background(installers[1]) as uv:
            try:
                told = hunt.load("crowd", files, publishers=50, readers=4)
            finally:
                hunt.stop()
        for output in (pip(), uv()):
            _word, good, bad = output.split()[-3:]
            if int(bad) or not int(good):
                outcome.errors.append(f"of {good} installations {bad} failed: {output[-300:]}")
        won = [file for file in told["files"] if 200 in file["statuses"]]
        outcome.other += [
            f"{name}: {count} have won" for name, count in Counter(map(name_of, won)).items() if count > 1
        ]
        outcome.other += [
            f"{file['name']}: {file['statuses']} {file['errors']}"
            for file in told["files"]
            if file["statuses"] not in ([200], [409])
        ]
        told["files"] = won
        return hunt.account(outcome, told, "crowd", set(), reads_go_on=True)

    return everywhere(hunt)


def name_of(file: dict) -> str:
    """A file's name."""
    return file["name"]


def test_crowd(crowded, server):
    """No reader notices, exactly one gets a contested name, and the pages are what the folder is."""
    assert crowded[server].faults == {}
    assert crowded[server].accepted == 420
