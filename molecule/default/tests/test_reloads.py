"""Consecutive uploads during reloads of Apache and the application, and switches of the release: all are accepted."""

import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

LOAD = Path(__file__).parents[2] / "faults/machines/load.py"
UPLOADS, RELOADS = 100, 12
# Each release is a directory; the link is replaced atomically, as by a run of the kit.
SWITCH = (
    "cd {program} && now=$(readlink current) && "
    "case $now in *.other) next=${{now%.other}};; *) next=$now.other; [ -d $next ] || cp -a $now $next;; esac && "
    "ln -sfn $next .current.new && mv -T .current.new current && systemctl reload pypi-application"
)
RELOADED = {
    "Apache": "systemctl reload apache2",
    "the application": "systemctl reload pypi-application",
    "the release": SWITCH,
    "both": "systemctl reload apache2 && systemctl reload pypi-application",
}


@pytest.fixture
def publishing(client, put, settings, password_of, server):
    """Publish small files one after the other in a context. The responses are available afterwards."""

    class Publishing:
        responses: Counter
        errors: list
        # The beginning of the names of all files.
        projects: str

        def __enter__(self):
            self.projects = projects = f"acme_reload{time.time_ns()}"
            plan = {
                "url": settings["pypi_url"],
                "user": "alice",
                "password": password_of(server, "alice"),
                "projects": projects.replace("_", "-"),
                "files": [{"name": f"{projects}-1.{n}-py3-none-any.whl", "size": 500} for n in range(20 * UPLOADS)],
                "publishers": 1,
                "readers": 0,
                "list_files": False,
                "stop": "/root/stop",
                "result": "/root/result.json",
            }
            put(client, "/root/load.py", LOAD.read_bytes())
            content = json.dumps(plan).encode()
            client.check_output("rm -f /root/stop /root/plan.json")
            for start in range(0, len(content), 90_000):
                put(client, "/root/plan.part", content[start : start + 90_000])
                client.check_output("cat /root/plan.part >>/root/plan.json")
            self._thread = threading.Thread(target=client.check_output, args=["python3 /root/load.py /root/plan.json"])
            self._thread.start()
            return self

        def __exit__(self, *_exception):
            client.check_output("touch /root/stop")
            self._thread.join()
            files = json.loads(client.file("/root/result.json").content)["files"]
            self.responses = Counter(status for file in files for status in file["statuses"])
            self.errors = [error for file in files for error in file["errors"]]

    return Publishing()


@pytest.mark.parametrize("reloaded", RELOADED)
def test_reload_fails_no_uploads(host, settings, publishing, reloaded):
    """All uploads get 200, none gets 503."""
    command = RELOADED[reloaded].format(program=settings["pypi_program_dir"])
    with publishing:
        time.sleep(1)
        for _ in range(RELOADS):
            host.check_output(command)
            time.sleep(0.3)
        # Requests that arrived during the last reload are still in progress.
        time.sleep(5)
        published = f"ls {settings['pypi_data_dir']}/packages | grep -c {publishing.projects}"
        for _ in range(120):
            if int(host.run(published).stdout) > UPLOADS:
                break
            time.sleep(1)
    assert publishing.responses.keys() == {200}, (publishing.responses, publishing.errors)
    assert publishing.responses[200] >= UPLOADS
    host.check_output(f"rm -rf {settings['pypi_program_dir']}/*.other")


@pytest.fixture(autouse=True, scope="module")
def _release(host, settings):
    """Restore the release that the kit has built."""
    current = host.check_output(f"readlink {settings['pypi_program_dir']}/current")
    yield
    program = settings["pypi_program_dir"]
    host.check_output(f"ln -sfn {current} {program}/current && systemctl reload pypi-application")
    host.check_output(f"rm -rf {program}/*.other")
