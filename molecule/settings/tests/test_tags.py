"""Each tag of site.yml alone, on servers whose settings turn on whatever is optional."""

from pathlib import Path

import pytest
import yaml
from shared.deployment import PROJECT

(PLAY,) = yaml.safe_load(Path(PROJECT, "site.yml").read_text(encoding="utf-8"))
TAGS = sorted({tag for role in PLAY["roles"] for tag in role["tags"]} - {"always"})


@pytest.mark.parametrize("tag", TAGS)
def test_tag_alone(deploy, servers, tag):
    """It finds all that it needs, also what another role would have registered, and has nothing to change."""
    run = deploy("--tags", tag)
    assert run.code == 0, run.output
    assert run.hosts == {server: {"changed": 0, "failed": 0} for server in servers}, run.changes


@pytest.mark.parametrize("tag", TAGS)
def test_tag_alone_in_a_dry_run(deploy, servers, tag):
    """The same announces nothing."""
    run = deploy("--tags", tag, "--check", "--diff")
    assert run.hosts == {server: {"changed": 0, "failed": 0} for server in servers}, run.output
