"""Check mode lists what was changed by hand on a live server, and a run repairs that and nothing else."""

import os

import pytest
from shared.deployment import ansible_playbook

# A change by hand, and the tasks that report and repair it.
DRIFT = {
    "directive of the site": (
        "sed -i 's/Require valid-user/Require all granted/' /etc/apache2/sites-available/pypi.conf",
        {"site | Write and enable the site"},
    ),
    "mode of a file": ("chmod 0644 /etc/pypi/rights.json", {"rights | Write the group file"}),
    "mode of a directory": ("chmod 0777 /srv/pypi/packages", {"files | Create directories"}),
    "user in htpasswd": ("echo 'eve:$2y$05$x' >>/etc/pypi/htpasswd", {"users | Write the htpasswd file"}),
    "enabled module": ("a2enmod --quiet status", {"modules_off | Disable the modules"}),
    "disabled module": ("a2dismod --quiet --force headers", {"modules_on | Enable required modules"}),
    "stopped unit": ("systemctl stop pypi-pages.path", {"apply | Start, restart or reload"}),
    "disabled unit": ("systemctl disable pypi-pages.timer 2>&1", {"apply | Start, restart or reload"}),
    "masked unit": ("systemctl mask apache2 2>&1", {"apply | Start, restart or reload"}),
    "drop-in of a unit": (
        "mkdir /etc/systemd/system/pypi-pages.service.d && printf '[Service]\\nPrivateNetwork=no\\n' "
        ">/etc/systemd/system/pypi-pages.service.d/override.conf && systemctl daemon-reload",
        {"files | Create directories"},
    ),
    "deleted page": (
        # The job that repairs pages every minute must not come first.
        "systemctl stop pypi-pages.timer; touch -d '-5 min' /var/lib/pypi/pages/records/acme-demo.json; "
        "rm /var/lib/pypi/pages/projects/acme-demo.html",
        # pypi-pages may restore the page before the run rebuilds all.
        {"apply | Start, restart or reload"},
    ),
    "edited release": (
        "echo >>/opt/pypi/current/application/wheelhouse/__init__.py",
        {"build | Create the virtualenv", "release | Write the settings and activate"},
    ),
}
# make faults makes each change alone, make test all of them at once.
EACH = bool(os.environ.get("EACH_CHANGE"))
CASES = {name: [name] for name in DRIFT} if EACH else {"all": list(DRIFT)}
# Follow from a repaired file: reloads, the other steps of a build, checks.
CONSEQUENCES = ("apply | ", "build | ", "release | ")


@pytest.fixture(scope="session")
def clean(deployed, deploy, unchanged):
    """Deploy the servers until a run changes nothing."""
    assert deployed[1].code == 0
    assert deploy().code == 0
    assert deploy().hosts == unchanged


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("case", CASES)
def test_drift_is_reported_and_repaired(inventory, servers, deploy, unchanged, case):
    """Check mode reports the changes and changes nothing; a run repairs them; the next run changes nothing."""
    tasks = set().union(*(DRIFT[name][1] for name in CASES[case]))
    for host in servers.values():
        for name in CASES[case]:
            host.check_output(DRIFT[name][0])
    reports = [ansible_playbook(inventory, "site.yml", "--check", "--diff") for _ in range(2)]
    run = deploy()
    assert run.code == 0, run.output
    for found in (*reports, run):
        for changes in found.changes.values():
            changed = [task.partition(" : ")[2] for task in changes]
            assert [task for task in tasks if not any(one.startswith(task) for one in changed)] == []
            allowed = (*tasks, *CONSEQUENCES)
            assert [one for one in changed if not one.startswith(allowed)] == []
    again = deploy()
    assert again.hosts == unchanged, again.changes
