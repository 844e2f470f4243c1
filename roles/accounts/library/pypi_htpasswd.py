#!/usr/bin/python
"""Ansible module: write an htpasswd file (Apache's AuthUserFile) with exactly the given users, atomically."""

import hashlib
import hmac
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

try:
    import bcrypt

    HAS_BCRYPT = True
except ImportError:
    HAS_BCRYPT = False

DOCUMENTATION = r"""
module: pypi_htpasswd
short_description: Write all users of an htpasswd file atomically
description:
  - The file has exactly the given users, with bcrypt hashes. The line of a user who expires has the date in a third
    field, which passwords.py reads.
  - A user whose password has not changed keeps the hash. A keyed fingerprint (HMAC) of each password is stored next to
    the file, to detect that without running bcrypt. The key stays on the control node, so the fingerprints disclose
    nothing to an attacker who has only the server.
  - Passwords, hashes and keys are not in the result or the diff.
author: Wheelhouse
extends_documentation_fragment: [ansible.builtin.files]
options:
  path:
    description: The htpasswd file. The fingerprints are in <path>.fingerprints, which only root can read.
    type: path
    required: true
  users:
    description: All users.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: The user's name., type: str, required: true}
      password: {description: The password in plain text., type: str}
      password_hash: {description: The password's bcrypt hash., type: str}
      expires: {description: The date (YYYY-MM-DD) from which access is denied., type: str}
      groups: {description: Ignored., type: list, elements: str}
      state: {description: Ignored., type: str}
  secrets_dir:
    description:
      - On the control node, the directory with the generated passwords (passwords/<name>.txt) and the fingerprint key.
      - Missing ones are generated, except in check mode. The password of a user whom this run removes is moved to
        passwords/.removed/, unless another host of the inventory has the user.
    type: path
  generated_passwords:
    description: Passwords, by name, of users with neither password nor password_hash. Set by the action plugin.
    type: dict
    default: {}
  cost:
    description: The work factor of bcrypt. Hashes of another cost are replaced.
    type: int
    default: 12
  fingerprint_key:
    description: The key of the fingerprints. Set by the action plugin.
    type: str
"""

EXAMPLES = r"""
- name: Write the htpasswd file with the users alice and bob
  pypi_htpasswd:
    path: /etc/pypi/htpasswd
    users:
      - {name: alice, password: correct horse}
      - {name: bob, password_hash: $2y$12$..., expires: 2027-01-01}
    secrets_dir: "{{ inventory_dir }}/secrets"
    mode: "0640"
"""

RETURN = r"""
added: {description: Names of new users., type: list, returned: always}
removed: {description: Names of removed users., type: list, returned: always}
changed_users: {description: Names of users whose hash or expiry date changed., type: list, returned: always}
generated: {description: Names of users whose password was generated., type: list, returned: always}
retired: {description: Names of removed users whose generated password was retired., type: list, returned: always}
"""


class Fingerprints:
    """Keyed fingerprints (HMAC) that tell whether a password still matches its stored hash.

    Each control node has a key. The file is JSON: {user: {key ID: HMAC-SHA-256 over user, hash and password}}.
    """

    def __init__(self, path: str, key: str):
        self._path = path
        self._key = key.encode()
        self._key_id = hashlib.sha256(b"name of " + self._key).hexdigest()[:16]
        try:
            before = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = {}
        self._before: dict[str, dict[str, str]] = before if isinstance(before, dict) else {}
        self._after: dict[str, dict[str, str]] = {}

    def _of(self, name: str, password_hash: str, password: str) -> str:
        text = "\0".join((name, password_hash, password)).encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()

    def matches(self, name: str, password_hash: str, password: str) -> bool:
        known = self._before.get(name, {}).get(self._key_id, "")
        return hmac.compare_digest(known, self._of(name, password_hash, password))

    def update(self, name: str, password_hash: str, password: str, same_hash: bool) -> None:
        """Add a fingerprint. Those of other control nodes are kept as long as the hash is the same."""
        self._after[name] = dict(self._before.get(name, {})) if same_hash else {}
        self._after[name][self._key_id] = self._of(name, password_hash, password)

    def save(self) -> None:
        if self._after != self._before:
            replace(self._path, json.dumps(self._after, indent=1, sort_keys=True) + "\n")


def replace(path: str, text: str, prepare: Callable[[str], object] | None = None) -> None:
    """Replace a file atomically. Only root can read it, unless prepare(temporary file) sets another mode."""
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=Path(path).parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if prepare:
        prepare(temporary)
    Path(temporary).replace(path)


def read(path: str) -> dict[str, str]:
    """Return the entries of an htpasswd file: {name: "hash" or "hash:date"}."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split(":", 1) for line in lines if ":" in line)


def hash_of(entry: str) -> str:
    return entry.partition(":")[0]


def cost_of(password_hash: str) -> int:
    """Return the work factor of a bcrypt hash; -1 if it is not a bcrypt hash."""
    parts = password_hash.split("$")
    return int(parts[2]) if len(parts) == 4 and parts[1] in ("2a", "2b", "2y") and parts[2].isdigit() else -1


def matches(password: str, password_hash: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode(), password_hash.encode())
    except ValueError:
        return False


def new_hash(password: str, cost: int) -> str:
    # bcrypt 2b and 2y are the same; 2y is what htpasswd writes and Apache documents.
    return "$2y$" + bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()[4:]


def choose_hash(
    user: dict[str, Any], before: dict[str, str], fingerprints: Fingerprints, cost: int
) -> tuple[str, str, str | None]:
    """Return the hash to write for a user: (name, hash, password or None). before: hashes by name."""
    name = user["name"]
    if user["password_hash"] is not None:
        return name, user["password_hash"], None
    password, present = user["password"], before.get(name, "")
    if cost_of(present) == cost and (fingerprints.matches(name, present, password) or matches(password, present)):
        return name, present, password
    return name, new_hash(password, cost), password


def diff_text(entries: dict[str, str], before: dict[str, str]) -> str:
    """Return the text for a diff: names, changed passwords, and expiry dates, without secrets."""
    return "".join(f"{name}{remark(entries[name], before.get(name))}\n" for name in sorted(entries))


def remark(entry: str, before: str | None) -> str:
    new = [] if before is None or hash_of(before) == hash_of(entry) else ["new password"]
    expires = [f"expires {day}"] if (day := entry.partition(":")[2]) else []
    return f" ({', '.join(new + expires)})" if new or expires else ""


def main() -> None:
    user_spec = {
        "name": {"type": "str", "required": True},
        "password": {"type": "str", "no_log": True},
        "password_hash": {"type": "str", "no_log": True},
        "expires": {"type": "str"},
        "groups": {"type": "list", "elements": "str"},
        "state": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "users": {"type": "list", "elements": "dict", "required": True, "options": user_spec},
            "generated_passwords": {"type": "dict", "default": {}, "no_log": True},
            "cost": {"type": "int", "default": 12},
            "fingerprint_key": {"type": "str", "required": True, "no_log": True},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    if not HAS_BCRYPT:
        # In check mode on a fresh host, an earlier task has not installed the package.
        if module.check_mode:
            module.exit_json(changed=True, added=[], removed=[], changed_users=[])
        module.fail_json(
            msg="The Python package bcrypt is missing on the host. Install it: apt-get install python3-bcrypt"
        )

    path, cost = module.params["path"], module.params["cost"]
    users = module.params["users"]
    for user in users:
        if user["password"] is None and user["password_hash"] is None:
            user["password"] = module.params["generated_passwords"].get(user["name"])
            if user["password"] is None:
                module.fail_json(
                    msg=f"The user {user['name']} has neither password nor password_hash, and no generated one."
                )

    before = read(path)
    hashes = {name: hash_of(entry) for name, entry in before.items()}
    fingerprints = Fingerprints(path + ".fingerprints", module.params["fingerprint_key"])
    # bcrypt releases the GIL, so threads run in parallel.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        chosen = list(pool.map(lambda user: choose_hash(user, hashes, fingerprints, cost), users))

    expires = {user["name"]: f":{user['expires']}" for user in users if user["expires"] is not None}
    after = {name: password_hash + expires.get(name, "") for name, password_hash, _password in chosen}
    added, removed = sorted(set(after) - set(before)), sorted(set(before) - set(after))
    renewed = sorted(name for name in set(after) & set(before) if after[name] != before[name])
    changed = after != before or not Path(path).exists()

    def attributes(file: str) -> bool:
        """Set owner, group and mode. Return whether they changed."""
        arguments = module.load_file_common_arguments(module.params, path=file)
        differed: bool = module.set_fs_attributes_if_different(arguments, changed=False)
        return differed

    if not module.check_mode:
        for name, password_hash, password in chosen:
            if password is not None:
                fingerprints.update(name, password_hash, password, hashes.get(name) == password_hash)
        if changed:
            replace(path, "".join(f"{name}:{after[name]}\n" for name in sorted(after)), attributes)
        fingerprints.save()
    attributes_changed = Path(path).exists() and attributes(path)

    module.exit_json(
        changed=changed or attributes_changed,
        added=added,
        removed=removed,
        changed_users=renewed,
        diff={
            "before_header": path,
            "after_header": path,
            "before": diff_text(before, before),
            "after": diff_text(after, before),
        },
    )


if __name__ == "__main__":
    main()
