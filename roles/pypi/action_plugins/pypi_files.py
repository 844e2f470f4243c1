"""Action plugin of the module pypi_files: reads and renders the files on the control node."""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader

# Relative to this file, because the playbook may be in any directory.
TEMPLATES = Path(__file__).resolve().parents[3] / "templates"


class ActionModule(ActionBase):
    """Sets the content of each file, then runs the module once. The module's DOCUMENTATION describes the options."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        files = arguments.get("files", [])
        if not isinstance(files, list) or not all(isinstance(file, dict) and "path" in file for file in files):
            raise AnsibleActionFail(f"pypi_files: files must be a list of dictionaries with a path (got {files!r})")
        arguments["files"] = [self._with_content(file, task_vars or {}) for file in files]
        result: dict[str, Any] = self._execute_module("pypi_files", module_args=arguments, task_vars=task_vars)
        return result

    def _with_content(self, file: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the entry of a file together with its content."""
        if "content" in file:
            raise AnsibleActionFail(
                f"pypi_files: {file['path']} has content. Put it into a template or a file of the role, and name that "
                "with template or src"
            )
        if "src" in file and "template" in file:
            raise AnsibleActionFail(f"pypi_files: {file['path']} has both src and template. Remove one of them")
        if "src" in file:
            # Decrypted, if it is encrypted with ansible-vault.
            found = self._loader.path_dwim_relative_stack(self._task.get_search_path(), "files", file["src"])
            path = self._loader.get_real_file(found)
            return file | {"content": Path(path).read_text(encoding="utf-8")}
        if "template" not in file and not boolean(file.get("force", True)):
            return file
        template = f"{TEMPLATES}{file.get('template', file['path'])}.j2"
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        return file | {"content": lookup.run([template], variables=task_vars)[0]}
