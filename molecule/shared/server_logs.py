"""Read a server's logs."""

import json


class Logs:
    """The current audit log and Apache's access log."""

    def __init__(self, host, directory: str):
        self._host, self._directory = host, directory

    def audit(self) -> list[dict]:
        """Return the entries of the audit log."""
        text = self._host.check_output("cat %s/audit/audit.log", self._directory)
        return [json.loads(line) for line in text.splitlines()]

    def matching(self, **fields: str) -> list[dict]:
        """Return the entries of the audit log that contain all of these fields."""
        return [line for line in self.audit() if fields.items() <= line.items()]

    def requests(self) -> list[str]:
        """Return the lines of Apache's access log."""
        return self._host.check_output("cat %s/access.log", self._directory).splitlines()
