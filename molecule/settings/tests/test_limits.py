"""What an upload may be, where the settings say so: how many files, how large unpacked, how much of all together."""

import os
import uuid

import pytest
from support.archives import wheel

HANA = ("hana", "The password of hana")
SERVER = "anyone.test"

# What an archive holds, and the setting that is against it: 20 files, 200 KiB.
BOMBS = {
    "too many files": ({str(number): "" for number in range(30)}, "pypi_max_members"),
    "too large": ({str(number): bytes(70_000) for number in range(3)}, "pypi_max_unpacked_size"),
}


@pytest.mark.parametrize(("files", "setting"), BOMBS.values(), ids=BOMBS)
def test_bombs(send_from, files, setting):
    """Small to send, and too much for whoever unpacks it. The answer names the setting."""
    project = f"team_{uuid.uuid4().hex[:8]}"
    content = wheel(project, files=files, compression=8)
    response = send_from("inside", SERVER, f"{project}-1.0-py3-none-any.whl", content, who="paul")
    assert response.status == 400
    assert setting in response.body


def test_all_files_together(send_from, request_from):
    """150 KiB here: what does not fit is refused before it is sent, and fits when something else is gone."""

    def publish(version: str) -> int:
        content = wheel("shared_1", version, files={"random": os.urandom(80_000)})
        response = send_from("inside", SERVER, f"shared_1-{version}-py3-none-any.whl", content, who=HANA)
        assert response.status != 507 or "pypi_max_total_size" in response.body
        return response.status

    def remove(version: str) -> int:
        fields = {":action": "remove_pkg", "name": "shared-1", "version": version}
        options = [word for item in fields.items() for word in ("--form", "=".join(item))]
        return request_from("inside", SERVER, "", *options, who=HANA).status

    numbers = [f"{number}.{uuid.uuid4().int % 10**9}" for number in range(3)]
    assert [publish(number) for number in numbers[:2]] == [200, 507]
    assert remove(numbers[0]) == 200
    assert publish(numbers[2]) == 200
    assert remove(numbers[2]) == 200
