#!/usr/bin/python
"""Ansible module: the directories, files and links of a role, all in one step."""

import os
import shutil
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: pypi_files
short_description: Directories, files and links as they shall be, in one step
description:
  - What many tasks with file, template and copy would do, in one task and over one connection. A run that
    finds nothing to do is several times faster for it.
  - Directories come first. Then all files are validated before the first of them is replaced and before anything is
    removed. What is absent goes, the files take their places, and the links come last: what one leads to is there.
options:
  directories:
    description: Directories, each after those it lies in. One that only files need is made without being named here.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {type: path, required: true, description: Where it is.}
      mode: {type: str, required: true, description: Its mode in octal.}
      owner: {type: str, default: root, description: Its owner.}
      group: {type: str, default: root, description: Its group.}
  files:
    description:
      - Files. What is in one comes from the template of the same path below the kit's templates/;
        or, as it is, from the file of the role that src names.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {type: path, required: true, description: Where it is.}
      template: {type: path, description: The path below templates/, if it is another than path.}
      src: {type: path, description: A file of the role.}
      keep: {type: bool, default: false, description: Whether a file that exists keeps its content.}
      content: {type: str, description: What is in it. Not given in tasks, where src or a template is.}
      mode: {type: str, default: "0644", description: Its mode in octal.}
      owner: {type: str, default: root, description: Its owner.}
      group: {type: str, default: root, description: Its group.}
      validate: {type: str, description: A command that must succeed first; %s is the new file.}
  links:
    description: Symbolic links. Each is replaced in one step.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {type: path, required: true, description: Where it is.}
      src: {type: str, required: true, description: What it says, seen from where it is.}
  absent:
    description: Paths at which there is to be nothing. A directory goes with all that is in it.
    type: list
    elements: path
    default: []
"""

OPTIONS = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}


def attributes(module: AnsibleModule, entry: dict) -> dict:
    """Owner, group and mode as AnsibleModule wants them."""
    return module.load_file_common_arguments(entry, path=entry["path"])


def ensure_directory(module: AnsibleModule, entry: dict) -> bool:
    """Whether a directory was made or changed."""
    if not Path(entry["path"]).is_dir():
        if module.check_mode:
            return True
        Path(entry["path"]).mkdir(parents=True)
        module.set_fs_attributes_if_different(attributes(module, entry), changed=True)
        return True
    return module.set_fs_attributes_if_different(attributes(module, entry), changed=False)


def stage(module: AnsibleModule, entry: dict) -> str:
    """Write what is to be in a file to a temporary one, and validate it. Returns its path, or ends the module."""
    descriptor, staged = tempfile.mkstemp(dir=module.tmpdir, prefix=f"{Path(entry['path']).name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(entry["content"])
    if entry["validate"]:
        code, said, complained = module.run_command(entry["validate"] % staged)
        if code != 0:
            module.fail_json(
                msg=f"{entry['path']} stays as it was: {entry['validate'].split()[0]} refuses the new one",
                rc=code,
                stdout=said,
                stderr=complained,
            )
    return staged


def current(entry: dict) -> str | None:
    """What is in a file, or None if there is none."""
    path = Path(entry["path"])
    try:
        return entry["content"] if entry["keep"] and path.exists() else path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None


def found_at(path: Path) -> str:
    """What a diff says of a path, whatever is there: one line, or nothing if there is nothing."""
    if path.is_symlink():
        return f"link to {path.readlink()}\n"
    return "directory\n" if path.is_dir() else "file\n" if path.exists() else ""


def difference(path: object, before: str, after: str) -> dict:
    """One part of a diff, as Ansible wants it."""
    return {"before_header": str(path), "after_header": str(path), "before": before, "after": after}


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def place_link(module: AnsibleModule, path: Path, target: str) -> None:
    """Make a link, or let it lead elsewhere, without a moment in which there is none."""
    if path.is_dir() and not path.is_symlink():
        module.fail_json(msg=f"{path} is a directory, and a link is to be there. Move it away")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as beside:
        staged = Path(beside) / path.name
        staged.symlink_to(target)
        staged.replace(path)


def main() -> None:
    """Make directories, then files, then links."""
    file_options = OPTIONS | {
        "mode": {"type": "str", "default": "0644"},
        "keep": {"type": "bool", "default": False},
        "content": {"type": "str", "default": ""},
        "validate": {"type": "str"},
    }
    link_options = {"path": {"type": "path", "required": True}, "src": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": OPTIONS | {"mode": {"type": "str", "required": True}},
            },
            "files": {"type": "list", "elements": "dict", "default": [], "options": file_options},
            "links": {"type": "list", "elements": "dict", "default": [], "options": link_options},
            "absent": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    # Whatever root's own may be: others must get through directories that are made on the way.
    os.umask(0o022)
    changed_paths = [entry["path"] for entry in module.params["directories"] if ensure_directory(module, entry)]
    files = module.params["files"]
    before = {entry["path"]: current(entry) for entry in files}
    differing = [entry for entry in files if before[entry["path"]] != entry["content"]]
    staged = {} if module.check_mode else {entry["path"]: stage(module, entry) for entry in differing}
    diff = []
    for path in map(Path, module.params["absent"]):
        if found := found_at(path):
            changed_paths.append(str(path))
            diff.append(difference(path, found, ""))
            if not module.check_mode:
                remove(path)
    for path, temporary in staged.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        module.atomic_move(temporary, path)
    for entry in files:
        changed = entry in differing
        if before[entry["path"]] is not None or not module.check_mode:
            changed = module.set_fs_attributes_if_different(attributes(module, entry), changed=changed)
        if changed:
            changed_paths.append(entry["path"])
    diff += [difference(entry["path"], before[entry["path"]] or "", entry["content"]) for entry in differing]
    for link in module.params["links"]:
        path, wanted = Path(link["path"]), f"link to {link['src']}\n"
        if (found := found_at(path)) != wanted:
            changed_paths.append(str(path))
            diff.append(difference(path, found, wanted))
            if not module.check_mode:
                place_link(module, path, link["src"])
    module.exit_json(changed=bool(changed_paths), changed_paths=changed_paths, diff=diff)


if __name__ == "__main__":
    main()
