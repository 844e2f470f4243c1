"""Many clients of an index in one program on a client container: publishers and readers. See machines/load.py."""

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

PROGRAM = Path(__file__).parent / "machines/load.py"
# Content of one command of `put`, which passes it as an argument.
PUT_BYTES = 90_000


class Load:
    """The clients of one index, as one user on one client container."""

    def __init__(self, client, put: Callable, url: str, user: str, password: str):
        self.client, self._put = client, put
        self.login = {"url": url, "user": user, "password": password}
        # One directory for each index: several may be in use at once.
        self._directory = f"/root/load/{urlsplit(url).hostname}"
        # The clients finish when it exists.
        self.stop_file = f"{self._directory}/stop"
        put(client, "/root/load.py", PROGRAM.read_bytes())

    def run(
        self,
        projects: str,
        files: Iterable[dict],
        *,
        publishers: int = 4,
        readers: int = 0,
        pause: float = 0,
        list_files: bool = False,
    ) -> dict:
        """Publish files until all of them have been tried or stop() is called. Returns the result of load.py.

        projects: the beginning of the names of all projects; files: name, size in bytes, and optionally salt, which
        changes the content, and seconds, the duration of the upload; pause: of a publisher after each file, in seconds;
        list_files: whether the result has all files of these projects on the pages.
        """
        result = f"{self._directory}/{threading.get_ident()}.json"
        plan = self.login | {
            "projects": projects.replace("_", "-"),
            "files": list(files),
            "publishers": publishers,
            "readers": readers,
            "pause": pause,
            "list_files": list_files,
            "stop": self.stop_file,
            "result": result,
        }
        self.client.check_output("mkdir -p %s && rm -f %s", self._directory, self.stop_file)
        self._send(f"{result}.plan", json.dumps(plan).encode())
        self.client.check_output("python3 /root/load.py %s", f"{result}.plan")
        return json.loads(self.client.file(result).content)

    def stop(self) -> None:
        """Make the clients finish their current requests and start no new ones."""
        self.client.check_output("touch %s", self.stop_file)

    def _send(self, path: str, content: bytes) -> None:
        """Write a file of any size on the client container."""
        self.client.check_output("rm -f %s", path)
        for start in range(0, len(content), PUT_BYTES):
            self._put(self.client, f"{path}.part", content[start : start + PUT_BYTES])
            self.client.check_output("cat %s >> %s", f"{path}.part", path)


@contextmanager
def in_background(work: Callable):
    """Run a function in a thread while the context is active. Yields a function that returns its result afterwards."""
    results, errors = [], []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  (raised below)
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result():
        if errors:
            raise errors[0]
        return results[0]

    try:
        yield result
    finally:
        thread.join()
