"""What the tests of this scenario share: the control nodes, and what they have deployed."""

import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor

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
def nodes(control_nodes, servers):
    """The control node of each server, by the server's name."""
    return {server: control_nodes[host.ansible.get_variables()["deployed_from"]] for server, host in servers.items()}


@pytest.fixture(scope="session")
def at_each(nodes):
    """A way to do something at all control nodes at a time: action(node, server). Returns {server: result}."""

    def at_each(action) -> dict:
        with ThreadPoolExecutor() as pool:
            return dict(zip(nodes, pool.map(action, nodes.values(), nodes), strict=True))

    return at_each


@pytest.fixture(scope="session")
def deployments(at_each):
    """What became of the README's five steps: {server: result}. They are done once."""
    steps = blocks(section("README.md", "Go to production in five steps"))

    def deploy(node, server):
        node.machine.check_output("rm -rf /root/wheelhouse && git clone -q /root/origin /root/wheelhouse")
        return node.do(steps, "/root/wheelhouse", {"pypi.example.com": server})

    return at_each(deploy)


@pytest.fixture(scope="module")
def node(nodes, deployments, server):
    """The control node of the server under test, which it has deployed."""
    result = deployments[server]
    assert result.rc == 0, result.stdout + result.stderr
    return nodes[server]
