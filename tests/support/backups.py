"""An index with a restic repository on this machine."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305
from pypi_backup import backup, prepare, restore
from pypi_backup.paths import Paths, Settings
from pypi_backup.restic import Restic
from pypi_backup.target import Target
from wheelhouse.config import Settings as IndexSettings
from wheelhouse.storage.backup_copy import write_copy

from support.archives import wheel
from support.web import Index

# Another version than the installed one can be tested: RESTIC=/path python -m pytest tests/backups
RESTIC = os.environ.get("RESTIC") or shutil.which("restic") or ""
needs_restic = pytest.mark.skipif(not RESTIC, reason="restic is not installed; the backup scenario runs it")
PASSWORD = "the password of the repository"


class RepositoryKey:
    """A key of restic, derived from a password (restic's design document, "Keys, Encryption and MAC").

    The cost of the derivation is half a second for each call of restic, so tests use a key with a minimal one.
    """

    def __init__(self, password: str, salt: bytes, cost: dict[str, int]) -> None:
        options = {"n": cost["N"], "r": cost["r"], "p": cost["p"], "maxmem": 1 << 30, "dklen": 64}
        derived = hashlib.scrypt(password.encode(), salt=salt, **options)
        self._encrypt, self._k, self._r = derived[:32], derived[32:48], derived[48:]

    def _crypt(self, nonce: bytes, text: bytes) -> bytes:
        encryptor = Cipher(algorithms.AES(self._encrypt), modes.CTR(nonce)).encryptor()
        return encryptor.update(text) + encryptor.finalize()

    def seal(self, text: bytes) -> bytes:
        """Encrypt and authenticate a text."""
        nonce = os.urandom(16)
        sealed = self._crypt(nonce, text)
        masked = Cipher(algorithms.AES(self._k), modes.ECB()).encryptor().update(nonce)  # noqa: S305
        return nonce + sealed + Poly1305.generate_tag(self._r + masked, sealed)

    def open(self, sealed: bytes) -> bytes:
        """Decrypt a text."""
        return self._crypt(sealed[:16], sealed[16:-16])


def create_quick_repository(directory: Path) -> None:
    """Create a repository that can be opened without delay."""
    (directory.with_name("password")).write_text(PASSWORD)
    words = [RESTIC, "-r", directory, "-p", directory.with_name("password"), "init", "--quiet"]
    subprocess.run(words, check=True)
    (file,) = directory.glob("keys/*")
    key = json.loads(file.read_bytes())
    salt, data = (base64.b64decode(key[name]) for name in ("salt", "data"))
    quick = {"N": 2, "r": 1, "p": 1}
    sealed = RepositoryKey(PASSWORD, salt, quick).seal(RepositoryKey(PASSWORD, salt, key).open(data))
    text = json.dumps(key | quick | {"data": base64.b64encode(sealed).decode()}).encode()
    file.unlink()
    # restic 0.18 verifies that the name is the digest.
    (directory / "keys" / hashlib.sha256(text).hexdigest()).write_bytes(text)


class Site:
    """An index, its repository, and the files of pypi-backup.

    The directory of the data has the place of the directories that the unit mounts.
    """

    def __init__(self, home: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.template = template
        self.index = Index(home / "index")
        self.repository = home / "repository"
        self.files = Paths(config=home / "config", state=self.index.data, sources=self.index.data)
        self.files.config.mkdir()
        (self.index.data / "copy").mkdir()
        self.password(PASSWORD)
        self.configure()
        self.copies = 0
        monkeypatch.setenv("RESTIC_REPOSITORY", str(self.repository))
        monkeypatch.setenv("RESTIC_PASSWORD_FILE", str(self.files.config / "password"))
        monkeypatch.setenv("RESTIC_CACHE_DIR", str(home / "cache"))
        monkeypatch.setattr(backup, "copy_state", self.copy_state)

    def password(self, text: str) -> None:
        """Change the configured password."""
        (self.files.config / "password").write_text(f"{text}\n")

    def configure(self, **changed: object) -> None:
        """Write settings.json with some changes."""
        settings = {"host": "pypi.example.com", "directory": str(self.repository), "retention": {}, "options": []}
        settings |= {"check_subset": "100%", "max_age_hours": 48, "check_max_age_hours": 336}
        (self.files.config / "settings.json").write_text(json.dumps(settings | changed))
        (self.files.config / "environment").write_text(f'RESTIC_REPOSITORY="{self.repository}"\n')

    @property
    def settings(self) -> Settings:
        """The settings of pypi-backup."""
        return Settings.load(self.files)

    @property
    def restic(self) -> Restic:
        """The repository."""
        return Restic(self.settings, RESTIC)

    @property
    def status(self) -> dict:
        """The content of the status file."""
        return json.loads(self.files.status.read_bytes())

    def copy_state(self) -> None:
        """Copy the state, as the service of user pypi does."""
        self.copies += 1
        write_copy(IndexSettings.load(self.index.settings), self.files.state / "copy")

    def create(self) -> None:
        """Have a repository, created before by another host."""
        shutil.copytree(self.template, self.repository)
        self.prepare()

    def prepare(self, may_create: bool = True) -> None:
        """Open or create the repository."""
        prepare.prepare(self.files, self.settings, self.restic, may_create=may_create)

    def upload(self, number: int, user: str = "alice") -> str:
        """Upload a wheel. Returns its name."""
        name = f"foo-{number}.0-py3-none-any.whl"
        assert self.index.upload(name, wheel("foo", f"{number}.0"), user=user).code == 200
        return name

    def back_up(self) -> str:
        """Make a backup. Returns the ID of the snapshot."""
        backup.back_up(self.files, self.settings, self.restic)
        return self.status["backup"]["snapshot"]

    def snapshots(self) -> list[dict]:
        """Return all snapshots."""
        return json.loads(self.restic.run("snapshots", "--json")) or []

    def restore(self, target: Target, snapshot: str = "latest") -> dict:
        """Restore a snapshot."""
        return restore.restore(self.restic, target, snapshot)


def target_of(index: Index, **changed: object) -> Target:
    """Return the places of an index."""
    places = {"data": index.data, "audit": IndexSettings.load(index.settings).audit.parent, "pages": index.pages}
    places |= {"tls": index.home / "etc/tls", "mark_text": "mark\n", "overwrite": False}
    return Target(**places | changed)
