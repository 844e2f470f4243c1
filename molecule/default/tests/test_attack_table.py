"""The fast rows of the table of attacks; `make attack` runs all of them."""

import pytest
from attack.table import ATTACKS, carry_out
from attack.target import Target

USERS = {"publisher": "bob", "other_publisher": "alice", "reader": "verify", "unprivileged": "verify"}
QUICK = [attack for attack in ATTACKS if attack.quick]


@pytest.fixture(scope="module")
def target(server, host, client, clients, settings, put, password_of):
    """Return the server under attack."""
    other = next(machine for machine in clients.values() if machine is not client)
    return Target(server, host, client, other, settings, USERS, put, password_of)


@pytest.mark.parametrize("attack", QUICK, ids=lambda attack: attack.name)
def test_attack(attack, target):
    """The attack fails and is logged."""
    assert carry_out(attack, target).failures == []
