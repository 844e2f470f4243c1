"""Receives and authorizes uploads and removals (pypiserver's `auther` hook)."""

from collections.abc import Mapping

from packaging.utils import canonicalize_name

from wheelhouse.access.policy import AccessPolicy
from wheelhouse.distributions.filenames import parse_filename, parse_project
from wheelhouse.errors import RequestError
from wheelhouse.storage.requests import Removal, Upload
from wheelhouse.storage.store import Store
from wheelhouse.storage.upload_file import TemporaryUpload
from wheelhouse.web.errors import bottle, http_errors
from wheelhouse.web.forms import Form, FormFile, read_form
from wheelhouse.web.request import REQUEST_KEY, Request


class ReceivingAuthorizer:
    """Authorizes a request, for which it must read the body: the project is named there.

    pypiserver calls its `auther` before it uses the form. So this is where the whole form is received, its file into a
    temporary upload. Unauthorized files are rejected as soon as their name is known.
    """

    def __init__(self, policy: AccessPolicy, store: Store) -> None:
        self._policy, self._store = policy, store

    def __call__(self, _user: str, _password: str) -> bool:
        """Receive the form, and return True if the request is allowed. Raises a Bottle response otherwise."""
        environ = bottle.request.environ
        request: Request = environ[REQUEST_KEY]
        with http_errors("The upload was not accepted"):
            form = self._receive(request, environ.get("CONTENT_TYPE", ""))
            check_action(form.fields, has_file=form.file is not None)
            if form.file is None:
                request.authorize(self._authorize_removal(request, form.fields))
            else:
                request.authorize(describe_upload(request, form.file, form.fields))
            replace_bottle_forms(environ, form)
        return True

    def _receive(self, request: Request, content_type: str) -> Form[TemporaryUpload]:
        """Read the form. Its file is authorized before it is received."""

        def open_file(filename: str, fields: Mapping[str, str]) -> TemporaryUpload:
            # The audit log names the file even if it is rejected for another reason.
            request.audit.describe(filename=filename)
            if ":action" in fields:
                check_action(fields, has_file=True)
            project = parse_project(filename)
            request.audit.describe(project=project, version=str(parse_filename(filename)[1]))
            file = self._store.open_upload(request.audit.user, project, filename, fields, request.body.length)
            request.resources.callback(file.close)
            return file

        return read_form(content_type, request.body, open_file)

    def _authorize_removal(self, request: Request, fields: Mapping[str, str]) -> Removal:
        for field in ("name", "version"):
            if not fields.get(field):
                raise RequestError(
                    f"A removal names a project and a version, and this has no {field}. Nothing was removed"
                )
        project = canonicalize_name(fields["name"])
        request.audit.describe(project=project, version=fields["version"])
        self._policy.check_allowed(request.audit.user, "remove", project)
        return Removal(project, request.audit)


def describe_upload(request: Request, file: FormFile[TemporaryUpload], fields: Mapping[str, str]) -> Upload:
    """Return the upload of a file that was received, and add its size and digest to the audit context."""
    request.audit.describe(size=file.sink.size, sha256=file.sink.sha256)
    return Upload(file.filename, parse_project(file.filename), fields, file.sink, request.audit)


def replace_bottle_forms(environ: dict[str, object], form: Form[TemporaryUpload]) -> None:
    """Store the form where Bottle caches the forms that it parses: the body cannot be read twice."""
    fields, files = bottle.FormsDict(form.fields), bottle.FormsDict()
    if form.file is not None:
        files["content"] = bottle.FileUpload(form.file.sink, "content", form.file.filename)
    for forms in (fields, files):
        forms.recode_unicode = False
    environ["bottle.request.forms"], environ["bottle.request.files"] = fields, files


def check_action(fields: Mapping[str, str], has_file: bool) -> None:
    """Raise RequestError unless the form is an upload or a removal. fields: those that were received so far."""
    action = fields.get(":action")
    if action == "doc_upload":
        raise RequestError("This index takes wheels and sdists, and no documentation")
    if action not in ("file_upload", "remove_pkg"):
        raise RequestError(f"This index takes uploads and removals, and does not know the action {action!r}")
    if action == "file_upload" and not has_file:
        raise RequestError("An upload has one file, in a part named 'content', and this has 0")
    if action == "remove_pkg" and has_file:
        raise RequestError("A removal names a release, and has no file. Nothing was removed")
