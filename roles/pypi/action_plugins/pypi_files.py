"""Reads and renders the files of the module pypi_files on the controller."""

from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader

# The kit's own: a playbook that uses its roles may be in any directory.
TEMPLATES = Path(__file__).resolve().parents[3] / "templates"


class ActionModule(ActionBase):
    """One task, and one connection, for all files of a role."""

    def run(self, tmp=None, task_vars: dict | None = None) -> dict:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if not isinstance(arguments.get("files", []), list):
            raise AnsibleActionFail("pypi_files: files is not a list")
        arguments["files"] = [self._with_content(file, task_vars) for file in arguments.get("files", [])]
        return self._execute_module("pypi_files", module_args=arguments, task_vars=task_vars)

    def _with_content(self, file: dict, task_vars: dict) -> dict:
        """The same file with what is to be in it."""
        about = {name: value for name, value in file.items() if name not in ("src", "template")}
        if file.get("keep") and not file.keys() & {"src", "template"}:
            return about
        if "src" in file:
            # Decrypted, if it is encrypted with ansible-vault.
            path = self._loader.get_real_file(self._find_needle("files", file["src"]))
            return about | {"content": Path(path).read_text(encoding="utf-8")}
        template = f"{TEMPLATES}{file.get('template', file['path'])}.j2"
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        return about | {"content": lookup.run([template], variables=task_vars)[0]}
