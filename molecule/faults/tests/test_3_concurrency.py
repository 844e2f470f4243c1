"""Many concurrent clients: uploads of the same names, and installations meanwhile. Slow clients: see attack."""

from collections import Counter
from functools import partial

import pytest
from fault_injection import Outcome
from shared.client_env import ClientEnvironment
from shared.load import in_background

INSTALL = """
good=0; bad=0
while [ ! -e {stop} ]; do
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
def crowded(on_all_servers, put):
    """Publish 500 files with fifty clients, some of them under the same name: {server: outcome}."""

    def install(fault_run, program: str) -> str:
        settings = fault_run.settings
        login = {"user": "alice", "password": fault_run.password, "url": settings["pypi_url"], "host": fault_run.server}
        url = login["url"].replace("://", f"://alice:{fault_run.password}@")
        env = ClientEnvironment(fault_run.client, put, login | {"url_with_login": url})
        options = {"options": PROGRAMS[program], "url": f"{url}simple/", "stop": fault_run.stop_file}
        script = INSTALL.format(program=program, **options)
        env.write("install", script.replace("{", "{{").replace("}", "}}"))
        return env.run("sh install").stdout

    def run(fault_run):
        fault_run.clear()
        base = [{"name": f"installed_{number}-1.0-py3-none-any.whl", "size": 5000} for number in range(5)]
        assert all(file["statuses"] == [200] for file in fault_run.load("installed", base)["files"])
        # 400 different files, and 20 names with five publishers each, whose contents differ.
        files = fault_run.files("crowd", 400, {2000: 60, 50_000: 40}, over=40)
        contested = [f"crowd_contested_{number % 4}-2.{number}-py3-none-any.whl" for number in range(20)]
        files += [{"name": name, "size": 2000, "salt": str(sender)} for name in contested for sender in range(5)]
        fault_run.chance.shuffle(files)
        outcome = Outcome("50 clients publish 500 files at once", len(files))
        installers = [partial(install, fault_run, program) for program in PROGRAMS]
        with in_background(installers[0]) as pip, in_background(installers[1]) as uv:
            try:
                result = fault_run.load("crowd", files, publishers=50, readers=4)
            finally:
                fault_run.stop()
        for output in (pip(), uv()):
            _word, good, bad = output.split()[-3:]
            if int(bad) or not int(good):
                outcome.errors.append(f"of {good} installations {bad} failed: {output[-300:]}")
        accepted = [file for file in result["files"] if 200 in file["statuses"]]
        outcome.other += [
            f"{name}: {count} accepted" for name, count in Counter(map(name_of, accepted)).items() if count > 1
        ]
        outcome.other += [
            f"{file['name']}: {file['statuses']} {file['errors']}"
            for file in result["files"]
            if file["statuses"] not in ([200], [409])
        ]
        result["files"] = accepted
        return fault_run.check_consistency(outcome, result, "crowd", set(), reads_must_work=True)

    return on_all_servers(run)


def name_of(file: dict) -> str:
    """Return a file's name."""
    return file["name"]


def test_concurrent_clients(crowded, server):
    """Reads do not fail, exactly one upload of each name is accepted, and the pages equal the packages directory."""
    assert crowded[server].faults == {}
    assert crowded[server].accepted == 420
