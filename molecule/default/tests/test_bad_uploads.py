"""Invalid and interrupted uploads are rejected with an error message, and nothing of them is kept."""

import uuid

import pytest
from shared.uploads import TYPE, form
from support.archives import sdist, tarred, wheel

# File name, content, form fields, status, text in the response. * is replaced by a unique string.
BAD = [
    ("acme_*-1.0-py3-none-any.whl", b"not a zip", {}, 400, "Invalid or corrupt archive"),
    ("acme_*-1.0-py3-none-any.whl", wheel()[:-30], {}, 400, "Invalid or corrupt archive"),
    ("acme_*-1.0.tar.gz", b"not a tar", {}, 400, "Invalid or corrupt archive"),
    ("acme_*-1.0.tar.gz", sdist()[:40], {}, 400, "Invalid or corrupt archive"),
    ("acme_*-1.0.tar.gz", b"", {}, 400, "Invalid or corrupt archive"),
    ("acme_*.exe", b"MZ", {}, 400, "is not the file name of a wheel or sdist"),
    ("acme_*.whl", wheel(), {}, 400, "is not the file name of a wheel or sdist"),
    ("../acme_*-1.0.tar.gz", sdist(), {}, 400, "characters that no distribution's has"),
    ("acme_*-1.0.tar.gz", sdist(), {"sha256_digest": "0" * 64}, 400, "Digest mismatch: sha256_digest"),
    ("acme_*-1.0.tar.gz", sdist(), {"md5_digest": "0" * 32}, 400, "Digest mismatch: md5_digest"),
    ("acme_*-1.0.tar.gz", sdist(), {"blake2_256_digest": "0" * 64}, 400, "Digest mismatch: blake2_256_digest"),
    ("acme_*-1.0.tar.gz", sdist(), {":action": "doc_upload"}, 400, "and no documentation"),
    ("acme_*-1.0.tar.gz", sdist(), {":action": "submit"}, 400, "does not know the action"),
    ("acme_*-1.0.tar.gz", sdist(), {"attestations": "[{}]"}, 400, "Upload without them"),
    ("acme_*-1.0.tar.gz", sdist(), {"version": "1.1"}, 400, "the form has version 1.1"),
    ("acme_*-1.0.tar.gz", sdist("other"), {}, 400, "its metadata names other"),
    ("acme_*-1.0.tar.gz", tarred({"../x": ""}), {}, 400, "is not inside it"),
]


def unique_project() -> str:
    """Return a project name that was never used."""
    return "acme_" + uuid.uuid4().hex[:8]


@pytest.mark.parametrize(("name", "content", "fields", "status", "reason"), BAD)
def test_rejects_invalid_upload(upload, on_disk, name, content, fields, status, reason):
    """The response contains the reason, and no file is stored."""
    new = unique_project()
    response = upload(name.replace("acme_*", new), content, user="bob", **fields)
    assert response.status == status
    assert reason in response.body
    assert on_disk(new) == []


def test_rejects_truncated_upload(send, on_disk):
    """A proxy that loses its client sends a truncated body with a matching Content-Length."""
    new = unique_project()
    whole = form(f"{new}-1.0.tar.gz", sdist(new))
    response = send(whole[:-20], user="bob")
    assert response.status == 400
    assert "Upload incomplete" in response.body
    assert on_disk(new) == []
    assert send(whole, user="bob").status == 200


def test_aborted_upload_leaves_no_files(client, put, settings, password_of, server, on_disk):
    """After an aborted connection, neither the file nor a temporary file exists."""
    new = unique_project()
    # Content-Length is larger than what is sent before the client closes.
    file = put(client, "/root/body", form(f"{new}-1.0.tar.gz", sdist(new))[:-40])
    options = (
        f"--user bob:{password_of(server, 'bob')} --max-time 2 --header Content-Length:100000 --header '{TYPE}' "
        f"--data-binary @{file}"
    )
    assert client.run(f"curl --http1.1 --silent {options} {settings['pypi_url']}").rc == 28
    assert on_disk(new) == []
    assert on_disk(".upload-") == []


def test_rejects_different_content_for_existing_file(upload, host, settings):
    """A published file never changes."""
    new = unique_project()
    name = f"{new}-1.0.tar.gz"
    assert upload(name, sdist(new), user="bob").status == 200
    response = upload(name, sdist(new, more="Summary: another\n"), user="bob")
    assert response.status == 409
    assert "File already exists" in response.body
    assert host.file(f"{settings['pypi_data_dir']}/packages/{name}").content == sdist(new)


def test_accepts_identical_upload_again(upload):
    """Re-uploading identical content returns 200, so that CI jobs can be retried."""
    new = unique_project()
    for _ in range(2):
        assert upload(f"{new}-1.0.tar.gz", sdist(new), user="bob").status == 200


SEND = {
    "twine": "twine upload --non-interactive --repository-url {url} --username {user} *.whl",
    "uv": "uv publish --publish-url {url} --username {user} *.whl",
}


@pytest.mark.parametrize("program", SEND)
def test_clients_show_the_reason(client_env, upload, client, put, program):
    """The output of twine and uv contains the reason. The file is valid; its name exists with different content."""
    new = unique_project()
    name = f"{new}-1.0-py3-none-any.whl"
    assert upload(name, wheel(new, more="Summary: another\n"), user="bob").status == 200
    env = client_env("bob")
    put(client, f"{env.home}/{name}", wheel(new))
    result = env.run(SEND[program], TWINE_PASSWORD="{password}", UV_PUBLISH_PASSWORD="{password}")
    assert result.rc != 0
    assert "File already exists" in " ".join((result.stdout + result.stderr).split())
