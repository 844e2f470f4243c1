"""An upload that is larger than the memory of many servers."""

import json

import pytest
from hunting import MACHINES, Hunt, Outcome

SIZE = 2_000_000_000
NAME = "large-1.0-py3-none-any.whl"
# What the copying takes; and the page, the record and the audit log.
MOST_MEMORY = 24_000_000
MOST_BESIDE = 4_000_000
PLACES = "/srv/pypi /var/lib/pypi /var/log/pypi /tmp /var/tmp"


@pytest.fixture(scope="module")
def large(everywhere, put):
    """What came of one upload of 2 GB: {server: outcome}."""

    def hunt(hunt):
        hunt.clear()
        put(hunt.client, "/root/large.py", (MACHINES / "large.py").read_bytes())
        put(hunt.host, "/root/watch.py", (MACHINES / "watch.py").read_bytes())
        sha256 = hunt.client.check_output("python3 /root/large.py %s %s", f"/root/{NAME}", str(SIZE))
        # All processes have loaded what they need, and remember the password.
        hunt.load("warm", hunt.files("warm", 40, {2000: 1}))
        outcome = Outcome("an upload of 2 GB", 1)
        took = watched(hunt, outcome, sha256)
        outcome.notes.append(f"memory +{took['memory'] / 1e6:.1f} MB, disk +{took['disk'] / 1e6:.1f} MB at most")
        if took["memory"] > MOST_MEMORY or took["disk"] > SIZE + MOST_BESIDE:
            outcome.other += outcome.notes
        if hunt.look()["there"].get(NAME) != sha256:
            outcome.lost.append(NAME)
        hunt.client.check_output("rm %s", f"/root/{NAME}")
        hunt.clear()
        return outcome

    return everywhere(hunt)


def watched(hunt: Hunt, outcome: Outcome, sha256: str) -> dict[str, int]:
    """Publish it, and see what it takes of the server, in bytes: see watch.py."""
    hunt.host.check_output(
        "rm -f /root/stop /root/watched; "
        f"setsid timeout 3600 python3 /root/watch.py /root/stop {PLACES} >/root/watched 2>&1 & "
        "until grep -q ready /root/watched; do sleep 0.1; done"
    )
    form = {":action": "file_upload", "sha256_digest": sha256, "content": f"@/root/{NAME}"}
    fields = " ".join(f"--form {name}={value}" for name, value in form.items())
    login = f"alice:{hunt.password}"
    options = "--silent --speed-limit 1 --speed-time 600 --output /dev/null --write-out %%{http_code}"
    status = hunt.client.check_output(f"curl {options} --user %s {fields} %s", login, hunt.settings["pypi_url"])
    outcome.statuses[int(status)] += 1
    outcome.accepted = int(status == "200")
    took = hunt.host.check_output("touch /root/stop; until tail -n 1 /root/watched | grep '}'; do sleep 0.1; done")
    return json.loads(took)


def test_large(large, server):
    """It takes the disk that it needs, once, and hardly any memory."""
    assert large[server].faults == {}
    assert large[server].accepted == 1
