"""An upload that is larger than the memory of many servers."""

import json

import pytest
from fault_injection import MACHINES, FaultRun, Outcome

SIZE = 2_000_000_000
NAME = "large-1.0-py3-none-any.whl"
# Allowed growth: memory for buffers; disk for the page, the record and the audit log.
MAXIMUM_MEMORY = 24_000_000
MAXIMUM_OTHER_FILES = 4_000_000
DIRECTORIES = "/srv/pypi /var/lib/pypi /var/log/pypi /tmp /var/tmp"


@pytest.fixture(scope="module")
def large(on_all_servers, put):
    """Upload one file of 2 GB: {server: outcome}."""

    def run(fault_run):
        fault_run.clear()
        put(fault_run.client, "/root/large.py", (MACHINES / "large.py").read_bytes())
        put(fault_run.host, "/root/measure_usage.py", (MACHINES / "measure_usage.py").read_bytes())
        sha256 = fault_run.client.check_output("python3 /root/large.py %s %s", f"/root/{NAME}", str(SIZE))
        # Warm-up: all processes have loaded their modules and cached the password.
        fault_run.load("warm", fault_run.files("warm", 40, {2000: 1}))
        outcome = Outcome("an upload of 2 GB", 1)
        usage = measured_upload(fault_run, outcome, sha256)
        outcome.notes.append(f"memory +{usage['memory'] / 1e6:.1f} MB, disk +{usage['disk'] / 1e6:.1f} MB at most")
        if usage["memory"] > MAXIMUM_MEMORY or usage["disk"] > SIZE + MAXIMUM_OTHER_FILES:
            outcome.other += outcome.notes
        if fault_run.inspect_files()["stored"].get(NAME) != sha256:
            outcome.lost.append(NAME)
        fault_run.client.check_output("rm %s", f"/root/{NAME}")
        fault_run.clear()
        return outcome

    return on_all_servers(run)


def measured_upload(fault_run: FaultRun, outcome: Outcome, sha256: str) -> dict[str, int]:
    """Upload the file, and return the usage of memory and disk in bytes: see measure_usage.py."""
    fault_run.host.check_output(
        "rm -f /root/stop /root/usage; "
        f"setsid timeout 3600 python3 /root/measure_usage.py /root/stop {DIRECTORIES} >/root/usage 2>&1 & "
        "until grep -q ready /root/usage; do sleep 0.1; done"
    )
    form = {":action": "file_upload", "sha256_digest": sha256, "content": f"@/root/{NAME}"}
    fields = " ".join(f"--form {name}={value}" for name, value in form.items())
    login = f"alice:{fault_run.password}"
    options = "--silent --speed-limit 1 --speed-time 600 --output /dev/null --write-out %%{http_code}"
    status = fault_run.client.check_output(
        f"curl {options} --user %s {fields} %s", login, fault_run.settings["pypi_url"]
    )
    outcome.statuses[int(status)] += 1
    outcome.accepted = int(status == "200")
    usage = fault_run.host.check_output("touch /root/stop; until tail -n 1 /root/usage | grep '}'; do sleep 0.1; done")
    return json.loads(usage)


def test_large_upload_uses_disk_once_and_little_memory(large, server):
    """The upload uses the disk space of one copy, and little memory."""
    assert large[server].faults == {}
    assert large[server].accepted == 1
