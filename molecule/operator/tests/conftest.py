"""What the tests of this scenario share: the control nodes, and what they have deployed."""

import subprocess
import tarfile

import pytest
import testinfra
from operating import ControlNode
from shared.deployment import PROJECT
from support.readme import blocks, section


@pytest.fixture(scope="session")
def origin(tmp_path_factory):
    """The files that git has, as they are now, in a tar archive on this machine."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, check=True, capture_output=True, text=True)
    path = tmp_path_factory.mktemp("origin") / "origin.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in filter(None, names.stdout.split("\0")):
            if (PROJECT / name).is_symlink() or (PROJECT / name).exists():
                archive.add(PROJECT / name, name, recursive=False)
    return path


@pytest.fixture(scope="session")
def control_nodes(inventory, origin):
    """All control nodes, by name, each with the repository in /root/origin."""
    found = testinfra.get_hosts(["control_nodes"], connection="ansible", ansible_inventory=inventory)
    nodes = {}
    for machine in found:
        name = machine.backend.host
        container = machine.ansible.get_variables()["ansible_host"]
        subprocess.run(["docker", "cp", "--quiet", origin, f"{container}:/root/origin.tar.gz"], check=True)
        machine.check_output(
            "rm -rf /root/origin && mkdir /root/origin && cd /root/origin && tar -xzf ../origin.tar.gz &&"
            " git init -q && git add -A && git -c user.name=test -c user.email=test@example.com commit -q -m 'As it is'"
        )
        nodes[name] = ControlNode(machine)
    return nodes


@pytest.fixture(scope="session")
def deployments(control_nodes, servers):
    """What became of the README's five steps: {server: (control node, result)}. They are done once."""
    done = {}
    for server, host in servers.items():
        node = control_nodes[host.ansible.get_variables()["deployed_from"]]
        node.machine.check_output("rm -rf /root/wheelhouse && git clone -q /root/origin /root/wheelhouse")
        steps = blocks(section("README.md", "Go to production in five steps"))
        done[server] = node, node.do(steps, "/root/wheelhouse", {"pypi.example.com": server})
    return done


@pytest.fixture(scope="module")
def node(deployments, server):
    """The control node of the server under test, which it has deployed."""
    node, result = deployments[server]
    assert result.rc == 0, result.stdout + result.stderr
    return node
