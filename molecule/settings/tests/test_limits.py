"""Limits of uploads: number of files, unpacked size, total size."""

import os
import uuid

import pytest
from support.archives import wheel

HANA = ("hana", "The password of hana")
SERVER = "anyone.test"

# Decompression bombs, and the setting that rejects them: 20 files, 200 KiB.
BOMBS = {
    "too many files": ({str(number): "" for number in range(30)}, "pypi_max_members"),
    "too large": ({str(number): bytes(70_000) for number in range(3)}, "pypi_max_unpacked_size"),
}


@pytest.mark.parametrize(("files", "setting"), BOMBS.values(), ids=BOMBS)
def test_rejects_decompression_bomb(send_from, files, setting):
    """The response contains the name of the setting."""
    project = f"team_{uuid.uuid4().hex[:8]}"
    content = wheel(project, files=files, compression=8)
    response = send_from("inside", SERVER, f"{project}-1.0-py3-none-any.whl", content, user="paul")
    assert response.status == 400
    assert setting in response.body


def test_enforces_total_size(send_from, request_from):
    """Uploads above 150 KiB in total get 507, and work again after a removal."""

    def publish(version: str) -> int:
        content = wheel("shared_1", version, files={"random": os.urandom(80_000)})
        response = send_from("inside", SERVER, f"shared_1-{version}-py3-none-any.whl", content, user=HANA)
        assert response.status != 507 or "pypi_max_total_size" in response.body
        return response.status

    def remove(version: str) -> int:
        fields = {":action": "remove_pkg", "name": "shared-1", "version": version}
        options = [word for item in fields.items() for word in ("--form", "=".join(item))]
        return request_from("inside", SERVER, "", *options, user=HANA).status

    versions = [f"{number}.{uuid.uuid4().int % 10**9}" for number in range(3)]
    assert [publish(version) for version in versions[:2]] == [200, 507]
    assert remove(versions[0]) == 200
    assert publish(versions[2]) == 200
    assert remove(versions[2]) == 200
