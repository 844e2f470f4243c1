"""Uploads that went wrong on the way, or are none: refused in words, and nothing is left of them."""

import uuid

import pytest
from shared.uploads import TYPE, form
from support.archives import sdist, tarred, wheel

# File name, content, the form's fields, status, and what the answer says. * is new each time.
BAD = [
    ("acme_*-1.0-py3-none-any.whl", b"not a zip", {}, 400, "Invalid or corrupt archive"),
    ("acme_*-1.0-py3-none-any.whl", wheel()[:-30], {}, 400, "Invalid or corrupt archive"),
    ("acme_*-1.0.tar.gz", b"not a tar", {}, 400, "Invalid or corrupt archive"),
    ("acme_*-1.0.tar.gz", sdist()[:40], {}, 400, "Invalid or corrupt archive"),
    ("acme_*-1.0.tar.gz", b"", {}, 400, "Invalid or corrupt archive"),
    ("acme_*.exe", b"MZ", {}, 400, "is not the file name of a wheel or sdist"),
    ("acme_*.whl", wheel(), {}, 400, "is not the file name of a wheel or sdist"),
    ("../acme_*-1.0.tar.gz", sdist(), {}, 400, "characters that no distribution's has"),
    ("acme_*-1.0.tar.gz", sdist(), {"sha256_digest": "0" * 64}, 400, "not what was sent, by its sha256_digest"),
    ("acme_*-1.0.tar.gz", sdist(), {"md5_digest": "0" * 32}, 400, "not what was sent, by its md5_digest"),
    ("acme_*-1.0.tar.gz", sdist(), {"blake2_256_digest": "0" * 64}, 400, "not what was sent, by its blake2_256"),
    ("acme_*-1.0.tar.gz", sdist(), {":action": "doc_upload"}, 400, "and no documentation"),
    ("acme_*-1.0.tar.gz", sdist(), {":action": "submit"}, 400, "does not know the action"),
    ("acme_*-1.0.tar.gz", sdist(), {"attestations": "[{}]"}, 400, "Upload without them"),
    ("acme_*-1.0.tar.gz", sdist(), {"version": "1.1"}, 400, "the form says version 1.1"),
    ("acme_*-1.0.tar.gz", sdist("other"), {}, 400, "its metadata names other"),
    ("acme_*-1.0.tar.gz", tarred({"../x": ""}), {}, 400, "is not inside it"),
]


def beginning() -> str:
    """A name that no file has had."""
    return "acme_" + uuid.uuid4().hex[:8]


@pytest.mark.parametrize(("name", "content", "fields", "status", "reason"), BAD)
def test_bad_upload(upload, on_disk, name, content, fields, status, reason):
    """People read what is wrong; the index keeps nothing that pip would stumble over later."""
    new = beginning()
    answer = upload(name.replace("acme_*", new), content, user="bob", **fields)
    assert answer.status == status
    assert reason in answer.body
    assert on_disk(new) == []


def test_torn_upload(send, on_disk):
    """A proxy that gave up on the way makes a body that ends early and claims to be whole."""
    new = beginning()
    whole = form(f"{new}-1.0.tar.gz", sdist(new))
    answer = send(whole[:-20], user="bob")
    assert answer.status == 400
    assert "Upload incomplete" in answer.body
    assert on_disk(new) == []
    assert send(whole, user="bob").status == 200


def test_broken_connection(client, put, settings, password_of, server, on_disk):
    """A client that goes away in the middle leaves nothing behind, neither the file nor its temporary one."""
    new = beginning()
    # Content-Length promises more than is sent before the client closes.
    file = put(client, "/root/body", form(f"{new}-1.0.tar.gz", sdist(new))[:-40])
    options = (
        f"--user bob:{password_of(server, 'bob')} --max-time 2 --header Content-Length:100000 --header '{TYPE}' "
        f"--data-binary @{file}"
    )
    assert client.run(f"curl --http1.1 --silent {options} {settings['pypi_url']}").rc == 28
    assert on_disk(new) == []
    assert on_disk(".upload-") == []


def test_used_name(upload, host, settings):
    """A release that people have installed never becomes another one."""
    new = beginning()
    name = f"{new}-1.0.tar.gz"
    assert upload(name, sdist(new), user="bob").status == 200
    answer = upload(name, sdist(new, more="Summary: another\n"), user="bob")
    assert answer.status == 409
    assert "File already exists" in answer.body
    assert host.file(f"{settings['pypi_data_dir']}/packages/{name}").content == sdist(new)


def test_the_same_again(upload):
    """A job that was cut off after its upload is run again, and must not fail for having worked the first time."""
    new = beginning()
    for _ in range(2):
        assert upload(f"{new}-1.0.tar.gz", sdist(new), user="bob").status == 200


SEND = {
    "twine": "twine upload --non-interactive --repository-url {url} --username {user} *.whl",
    "uv": "uv publish --publish-url {url} --username {user} *.whl",
}


@pytest.mark.parametrize("program", SEND)
def test_people_read_the_reason(workplace, upload, client, put, program):
    """An answer that the program does not show is none. The file is a good one, under a name that is taken."""
    new = beginning()
    name = f"{new}-1.0-py3-none-any.whl"
    assert upload(name, wheel(new, more="Summary: another\n"), user="bob").status == 200
    here = workplace("bob")
    put(client, f"{here.home}/{name}", wheel(new))
    result = here.run(SEND[program], TWINE_PASSWORD="{password}", UV_PUBLISH_PASSWORD="{password}")
    assert result.rc != 0
    assert "File already exists" in " ".join((result.stdout + result.stderr).split())
