"""Fixtures of the operator scenario: the control nodes and their deployments."""

import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest
import testinfra
from control_node import ControlNode
from shared.deployment import PROJECT
from support.readme import blocks, section


@pytest.fixture(scope="session")
def origin(tmp_path_factory):
    """Pack the files that git tracks, as they are in the work tree, in a tar archive on this machine."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, check=True, capture_output=True, text=True)
    path = tmp_path_factory.mktemp("origin") / "origin.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in filter(None, names.stdout.split("\0")):
            if (PROJECT / name).is_symlink() or (PROJECT / name).exists():
                archive.add(PROJECT / name, name, recursive=False)
    return path


@pytest.fixture(scope="session")
def control_nodes(inventory, origin):
    """Return all control nodes by name, each with the repository in /root/origin."""
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
    """Return the control node of each server: {server: node}."""
    return {server: control_nodes[host.ansible.get_variables()["deployed_from"]] for server, host in servers.items()}


@pytest.fixture(scope="session")
def on_all_nodes(nodes):
    """Run a function on all control nodes concurrently: action(node, server). Returns {server: result}."""

    def on_all_nodes(action) -> dict:
        with ThreadPoolExecutor() as pool:
            return dict(zip(nodes, pool.map(action, nodes.values(), nodes), strict=True))

    return on_all_nodes


@pytest.fixture(scope="session")
def deployments(on_all_nodes):
    """Run the README's five steps once. Returns {server: result}."""
    steps = blocks(section("README.md", "Go to production in five steps"))

    def deploy(node, server):
        node.machine.check_output("rm -rf /root/wheelhouse && git clone -q /root/origin /root/wheelhouse")
        return node.run_blocks(steps, "/root/wheelhouse", {"pypi.example.com": server})

    return on_all_nodes(deploy)


@pytest.fixture(scope="module")
def node(nodes, deployments, server):
    """Return the control node that has deployed the server under test."""
    result = deployments[server]
    assert result.rc == 0, result.stdout + result.stderr
    return nodes[server]
