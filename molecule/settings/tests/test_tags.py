"""Each tag of site.yml alone, on servers with all optional features enabled."""

from pathlib import Path

import pytest
import yaml
from shared.deployment import PROJECT

(PLAY,) = yaml.safe_load(Path(PROJECT, "site.yml").read_text(encoding="utf-8"))
TAGS = sorted({tag for role in PLAY["roles"] for tag in role["tags"]} - {"always"})


@pytest.mark.parametrize("tag", TAGS)
def test_tag_works_alone(deploy, servers, tag):
    """A tag does not depend on variables that other roles register, and changes nothing.

    In check mode, in which the results of more tasks are missing.
    """
    run = deploy("--tags", tag, "--check", "--diff")
    assert run.code == 0, run.output
    assert run.hosts == {server: {"changed": 0, "failed": 0} for server in servers}, run.changes
