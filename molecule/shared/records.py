"""What a server's logs say, all of it read at once: a test asks for what it needs."""

import json


class Records:
    """The audit log's newest file, and Apache's."""

    def __init__(self, host, directory: str):
        self._host, self._directory = host, directory

    def audit(self) -> list[dict]:
        """The lines of the audit log."""
        text = self._host.check_output("cat %s/audit/audit.log", self._directory)
        return [json.loads(line) for line in text.splitlines()]

    def of(self, **facts: str) -> list[dict]:
        """The lines of the audit log that say all of this."""
        return [line for line in self.audit() if facts.items() <= line.items()]

    def requests(self) -> list[str]:
        """The lines of Apache's access log."""
        return self._host.check_output("cat %s/access.log", self._directory).splitlines()
