"""Restored data with another UID: user pypi of a new host may have a different one."""

import pytest

DATA = "/srv/pypi/packages /srv/pypi/state /var/log/pypi/audit"
WRONG_OWNERS = "find /srv/pypi/packages /srv/pypi/state /var/log/pypi/audit /var/lib/pypi/pages -not -user pypi"


@pytest.fixture(scope="session")
def new_user(deployed, servers, deploy):
    """Delete user pypi, change the data to an unused UID, and run site.yml."""
    assert deployed[1].code == 0
    for host in servers.values():
        host.check_output("systemctl stop pypi-pages.path pypi-pages.timer pypi-application apache2")
        host.check_output("userdel pypi")
        host.check_output(f"chown -R 4321 {DATA}")
    return deploy()


@pytest.fixture(scope="session")
def existing_user(new_user, servers, deploy):
    """Change the data to another UID while user pypi exists, and run site.yml."""
    assert new_user.code == 0, new_user.output
    for host in servers.values():
        host.check_output(f"chown -R 4322 {DATA} /var/lib/pypi/pages")
    return deploy()


def test_new_user_gets_the_uid_of_the_data(new_user, host, publish):
    """User pypi is created with the UID of the data, so no file has to be changed."""
    assert new_user.code == 0, new_user.output
    assert host.user("pypi").uid == 4321
    assert host.check_output(WRONG_OWNERS) == ""
    assert publish("3.0").status == 200


def test_existing_user_gets_the_data(existing_user, host, publish, deploy, unchanged):
    """The owner of the files is changed to user pypi, and the run reports it."""
    assert existing_user.code == 0, existing_user.output
    assert any("Give data that another uid owns" in task for task in existing_user.changes["debian12.test"])
    assert host.user("pypi").uid == 4321
    assert host.check_output(WRONG_OWNERS) == ""
    assert publish("3.1").status == 200
    assert host.check_output("wheelhouse check") is not None
    again = deploy()
    assert again.hosts == unchanged, again.changes
