#!/usr/bin/python
"""Ansible module: validate all files of a role, then replace each of them atomically."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: pypi_files
short_description: Manage directories, files and symbolic links; validate all files before any is replaced
description:
  - "Guarantee: every file whose content differs is written to a temporary file and validated before any file or link
    is replaced and before any path is removed. If one validation fails, the task fails, and all files and links are
    as they were."
  - Each file is then replaced atomically, and each link is, by rename(2). A reader sees the old content or the new one.
  - The files of a task are not replaced as one transaction. If the host stops between two of them, the next run
    replaces the rest.
  - Directories are created, and their owner, group and mode are set, before files are validated. A failed validation
    does not undo that.
  - "The order is: directories; validation of files; removal of O(absent); files; O(links). So a link is created after
    the file that it points to."
  - One task and one connection do the work of many tasks with M(ansible.builtin.file), M(ansible.builtin.template) and
    M(ansible.builtin.copy).
options:
  directories:
    description: Directories, in the order in which they are created. Missing parents of a path are created, too.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the directory on the host.
        type: path
        required: true
      mode:
        description: Mode of the directory, in octal and in quotes.
        type: str
        required: true
      owner:
        description: Name of the user that owns the directory.
        type: str
        default: root
      group:
        description: Name of the group that owns the directory.
        type: str
        default: root
  files:
    description:
      - Files. Their content comes from a template or from a file of the role.
      - Without O(files[].src) and O(files[].template), the template is the one with the file's path below the
        repository's directory C(templates), and the suffix C(.j2).
      - Missing parents of a path are created with mode 0755.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the file on the host.
        type: path
        required: true
      src:
        description:
          - File of the role (in its directory C(files)), or an absolute path on the control node. It is copied as it
            is, and decrypted if it is encrypted with ansible-vault.
          - The action plugin reads it.
        type: str
      template:
        description:
          - Path of the template below the repository's directory C(templates), without the suffix C(.j2), where it
            differs from O(files[].path).
          - The action plugin renders it.
        type: str
      force:
        description:
          - If V(true), the content is replaced where it differs.
          - If V(false), the content is written only if the file does not exist. Without O(files[].src) and
            O(files[].template), the file is created empty. Owner, group and mode are always set.
        type: bool
        default: true
      mode:
        description: Mode of the file, in octal and in quotes.
        type: str
        default: "0644"
      owner:
        description: Name of the user that owns the file.
        type: str
        default: root
      group:
        description: Name of the group that owns the file.
        type: str
        default: root
      validate:
        description:
          - Command that must succeed before the file is used. C(%s) is the path of the temporary file.
          - It is run only if the content differs, and not in check mode.
        type: str
      content:
        description: Content of the file. The action plugin sets it; a task must not.
        type: str
        default: ""
  links:
    description: Symbolic links.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the link on the host. A file there is replaced; a directory is an error.
        type: path
        required: true
      src:
        description: Target of the link, written to the link as it is. A relative one starts at the link's directory.
        type: str
        required: true
  absent:
    description: Paths to remove. A directory is removed with its content; of a link, only the link is removed.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    support: full
    description: Files are not validated in check mode.
  diff_mode:
    support: full
    description: Shows content, owner, group and mode of files, directories, links, and what is removed.
"""

EXAMPLES = r"""
- name: Write the site and enable it
  pypi_files:
    files:
      - path: /etc/apache2/sites-available/pypi.conf
        validate: /usr/local/sbin/pypi-try-site %s
    links:
      - {path: /etc/apache2/sites-enabled/pypi.conf, src: ../sites-available/pypi.conf}
    absent: [/etc/apache2/sites-enabled/000-default.conf]

- name: Create an empty log with its owner and mode, and keep an existing one
  pypi_files:
    files:
      - {path: /var/log/pypi/access.log, force: false, group: adm, mode: "0640"}
"""

RETURN = r"""
changed_paths:
  description: Paths that were created, replaced or removed, or whose owner, group or mode was set.
  type: list
  elements: str
  returned: success
"""

OWNER: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
DIRECTORY = OWNER | {"mode": {"type": "str", "required": True}}
FILE = OWNER | {
    "src": {"type": "str"},
    "template": {"type": "str"},
    "force": {"type": "bool", "default": True},
    "mode": {"type": "str", "default": "0644"},
    "validate": {"type": "str"},
    "content": {"type": "str", "default": ""},
}
LINK = {"path": {"type": "path", "required": True}, "src": {"type": "str", "required": True}}
ARGUMENTS: dict[str, Any] = {
    "directories": {"type": "list", "elements": "dict", "default": [], "options": DIRECTORY},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": FILE,
        "mutually_exclusive": [["src", "template"]],
    },
    "links": {"type": "list", "elements": "dict", "default": [], "options": LINK},
    "absent": {"type": "list", "elements": "path", "default": []},
}


class Difference:
    """The change of one path: state, owner, group, mode and content, before and after."""

    def __init__(self, path: object, before: str, after: str):
        self.path = str(path)
        self.before: dict[str, object] = {"path": self.path, "state": before}
        self.after: dict[str, object] = {"path": self.path, "state": after}
        self.content: dict[str, object] = {}

    def set_content(self, before: bytes | None, after: str, source: str | None) -> None:
        """Add the content of a file. source: the file or template on the control node."""
        if before is not None and b"\0" in before:
            self.content = {"dst_binary": 1}
            return
        text = "" if before is None else before.decode(errors="replace")
        header = f"{self.path} ({source})" if source else self.path
        self.content = {"before_header": self.path, "after_header": header, "before": text, "after": after}

    def set_created(self, entry: dict[str, Any]) -> None:
        """Show the owner, group and mode of a new path in the state after."""
        self.before = {"path": self.path, "state": self.before["state"]}
        self.after |= {name: entry[name] for name in ("owner", "group", "mode")}

    def parts(self) -> list[dict[str, Any]]:
        """Return the parts of the diff in the form that Ansible prints."""
        state = {"before": self.before, "after": self.after}
        return ([self.content] if self.content else []) + ([state] if self.before != self.after else [])


class Files:
    """Applies one task, and records changes and their diff."""

    def __init__(self, module: AnsibleModule):
        self.module = module
        self.check_mode: bool = module.check_mode
        self.changed_paths: list[str] = []
        self.diff: list[dict[str, Any]] = []

    def record(self, difference: Difference) -> None:
        """Record a path that changes."""
        self.changed_paths.append(difference.path)
        self.diff += difference.parts()

    def set_attributes(self, entry: dict[str, Any], difference: Difference) -> bool:
        """Set owner, group and mode. Returns True if one of them differed."""
        arguments = self.module.load_file_common_arguments(entry, path=entry["path"])
        found = {"before": difference.before, "after": difference.after}
        differed: bool = self.module.set_fs_attributes_if_different(arguments, changed=False, diff=found)
        return differed

    def ensure_directory(self, entry: dict[str, Any]) -> None:
        """Create a directory; set its owner, group and mode."""
        path = Path(entry["path"])
        exists = path.is_dir()
        difference = Difference(path, "directory" if exists else state_of(path), "directory")
        if not exists and not self.check_mode:
            path.mkdir(parents=True)
        # In check mode, the owner and the group of a new directory may be missing, too.
        changed = self.set_attributes(entry, difference) if exists or not self.check_mode else False
        if not exists:
            difference.set_created(entry)
        if changed or not exists:
            self.record(difference)

    def stage(self, entry: dict[str, Any]) -> str:
        """Write the new content to a temporary file and validate it. Returns its path, or fails the task."""
        descriptor, staged = tempfile.mkstemp(dir=self.module.tmpdir, prefix=f"{Path(entry['path']).name}-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(entry["content"])
        if entry["validate"]:
            command = entry["validate"] % staged
            code, output, errors = self.module.run_command(command)
            if code != 0:
                self.module.fail_json(
                    msg=(
                        f"Validation of {entry['path']} failed: {command} ended with status {code}. No file was "
                        "replaced; stdout and stderr have the reason"
                    ),
                    rc=code,
                    stdout=output,
                    stderr=errors,
                )
        return staged

    def ensure_files(self, entries: list[dict[str, Any]], absent: list[Path]) -> None:
        """Validate all files that differ. Then remove paths, replace the files, and set owners, groups and modes."""
        before = {entry["path"]: read(Path(entry["path"])) for entry in entries}
        differing = [entry["path"] for entry in entries if differs(entry, before[entry["path"]])]
        staged = {}
        if not self.check_mode:
            staged = {entry["path"]: self.stage(entry) for entry in entries if entry["path"] in differing}
        for path in absent:
            self.ensure_absent(path)
        for name, temporary in staged.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            self.module.atomic_move(temporary, name)
        for entry in entries:
            self.finish_file(entry, before[entry["path"]], entry["path"] in differing)

    def finish_file(self, entry: dict[str, Any], before: bytes | None, replaced: bool) -> None:
        """Set owner, group and mode of a file, and record what has changed."""
        difference = Difference(entry["path"], "absent" if before is None else "file", "file")
        if replaced:
            difference.set_content(before, entry["content"], entry["src"] or entry["template"])
        changed = replaced
        if before is not None or not self.check_mode:
            changed = self.set_attributes(entry, difference) or replaced
        if before is None:
            difference.set_created(entry)
        if changed:
            self.record(difference)

    def ensure_absent(self, path: Path) -> None:
        """Remove a file, a link, or a directory with its content."""
        state = state_of(path)
        if state == "absent":
            return
        self.record(Difference(path, state, "absent"))
        if self.check_mode:
            return
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def ensure_link(self, path: Path, target: str) -> None:
        """Create a symbolic link, or replace what is at its path, atomically. Fails the task at a directory."""
        state, wanted = state_of(path), f"link to {target}"
        if state == wanted:
            return
        if state == "directory":
            self.module.fail_json(
                msg=f"Cannot create the link {path} -> {target}: {path} is a directory. Move or remove it"
            )
        self.record(Difference(path, state, wanted))
        if self.check_mode:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as beside:
            staged = Path(beside) / path.name
            staged.symlink_to(target)
            staged.replace(path)


def state_of(path: Path) -> str:
    """Return what is at a path: "absent", "file", "directory" or "link to TARGET"."""
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return "directory" if path.is_dir() else "file" if path.exists() else "absent"


def read(path: Path) -> bytes | None:
    """Return the content of a file; None if it does not exist."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def differs(entry: dict[str, Any], before: bytes | None) -> bool:
    """Return True if the file must be written."""
    return before is None or (entry["force"] and before != entry["content"].encode())


def main() -> None:
    """Create directories, validate and replace files, remove paths, create links."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    # Other users need search (x) permission for missing parents that are created.
    os.umask(0o022)
    files = Files(module)
    for entry in module.params["directories"]:
        files.ensure_directory(entry)
    files.ensure_files(module.params["files"], [Path(path) for path in module.params["absent"]])
    for link in module.params["links"]:
        files.ensure_link(Path(link["path"]), link["src"])
    # Content may be secret: no diff unless it is asked for (--diff), and not with `diff: false`.
    diff = {"diff": files.diff} if module._diff else {}
    module.exit_json(changed=bool(files.changed_paths), changed_paths=files.changed_paths, **diff)


if __name__ == "__main__":
    main()
