"""The first look at an upload or a removal, while it arrives."""

from wheelhouse.answers import answering, bottle
from wheelhouse.attempt import Attempt
from wheelhouse.gate import Gate
from wheelhouse.incoming import Form, read_form
from wheelhouse.refusals import Refused
from wheelhouse.store import Store
from wheelhouse.store.hidden import Hidden

# Where a request carries what is ours: Attempt, Body, Form, and the Hidden file that it has brought.
ATTEMPT, BODY, FORM, RECEIVED = (f"wheelhouse.{name}" for name in ("attempt", "body", "form", "received"))


class Entrance:
    """Reads each form and decides on it. pypiserver asks it as its `auther`, before it does anything itself."""

    def __init__(self, gate: Gate, store: Store):
        self._gate, self._store = gate, store

    def __call__(self, _user: str, _password: str) -> bool:
        """Return True, or raise the answer that says why not."""
        environ = bottle.request.environ
        with answering("The upload was not taken"):
            environ[FORM] = form = self._read(environ)
            self._decide(environ[ATTEMPT], form)
            self._hand_over(environ, form)
        return True

    def _read(self, environ: dict) -> Form:
        """Read the form, as much of it as is taken. Its file is in the store by then, though nobody sees it."""
        attempt, body = environ[ATTEMPT], environ[BODY]

        def receive(filename: str, fields: dict[str, str]) -> Hidden:
            # Whatever is wrong with the rest, the audit log is to name the file.
            attempt.filename = filename
            if ":action" in fields:
                check_action(fields, has_file=True)
            attempt.of_file(filename)
            environ[RECEIVED] = hidden = self._store.expect(attempt, body.length, fields)
            return hidden

        return read_form(environ.get("CONTENT_TYPE", ""), body, receive)

    def _decide(self, attempt: Attempt, form: Form) -> None:
        check_action(form.fields, has_file=form.file is not None)
        if form.file is not None:
            attempt.size, attempt.sha256 = form.file.size, form.file.sha256
            return
        for field in ("name", "version"):
            if not form.fields.get(field):
                raise Refused(f"A removal names a project and a version, and this has no {field}. Nothing was removed")
        attempt.of_release(form.fields["name"], form.fields["version"])
        self._gate.permit(attempt.user, "remove", attempt.project)

    def _hand_over(self, environ: dict, form: Form) -> None:
        """Put the form where Bottle would have put what it reads itself."""
        fields, files = bottle.FormsDict(form.fields), bottle.FormsDict()
        if form.file is not None:
            files["content"] = bottle.FileUpload(form.file, "content", form.filename)
        for both in (fields, files):
            both.recode_unicode = False
        environ["bottle.request.forms"], environ["bottle.request.files"] = fields, files


def check_action(fields: dict[str, str], has_file: bool) -> None:
    """Refuse what is no upload and no removal. fields: those that have come so far."""
    action = fields.get(":action")
    if action == "doc_upload":
        raise Refused("This index takes wheels and sdists, and no documentation")
    if action not in ("file_upload", "remove_pkg"):
        raise Refused(f"This index takes uploads and removals, and does not know the action {action!r}")
    if action == "file_upload" and not has_file:
        raise Refused("An upload has one file, in a part named 'content', and this has 0")
    if action == "remove_pkg" and has_file:
        raise Refused("A removal names a release, and has no file. Nothing was removed")
