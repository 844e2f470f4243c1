"""The WSGI application: pypiserver, with Apache's word for who somebody is.

Apache has checked network, password and URL before a request gets here. What is left is the
person's rights and the upload itself; pypiserver does the rest.
"""

import base64
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pypiserver
from pypiserver.backend import BackendProxy, PkgFile
from pypiserver.config import Config

from wheelhouse import distributions, health
from wheelhouse.distributions import Refused
from wheelhouse.pages.site import Pages
from wheelhouse.rights import RightsFile
from wheelhouse.settings import Settings
from wheelhouse.store import Store, Taken

# pypiserver brings its own copy of Bottle, at a place that has changed before.
bottle = sys.modules[pypiserver.Bottle.__module__]

UPLOADS = ("/", "/legacy", "/legacy/")
HEALTH = "/-/health"


def refuse(status: int, why: str) -> Exception:
    """An answer with its reason in the status line, where twine looks, and in the body, where uv does."""
    printable = "".join(character if " " <= character <= "~" else "?" for character in why[:300])
    return bottle.HTTPError(f"{status} {printable}", printable)


def unable(what: str, error: Exception) -> Exception:
    """The answer where the disk, or what lies there, keeps the index from its work. The log has the details."""
    print(f"wheelhouse: {what}: {error!r}", file=sys.stderr)
    answer = refuse(503, f"{what}. Tell those who run this index, and look again in some minutes")
    answer.set_header("Retry-After", "60")
    return answer


def plain_text(error: Exception) -> str:
    """An error's answer: its reason alone, since it is programs that show it to people."""
    bottle.response.content_type = "text/plain; charset=utf-8"
    return f"{error.body}\n"


def whole_form() -> dict[str, str]:
    """The form's fields, once all of it has arrived. Raises an answer."""
    request = bottle.request
    try:
        form = request.forms
    except (OSError, ValueError) as error:
        raise refuse(400, f"The upload cannot be read: {error}") from None
    # cgi.FieldStorage marks the part that was followed by the closing boundary
    # (RFC 2046, section 5.1.1) with 1. Without one, the end is missing.
    parsed = request.environ.get("_cgi.FieldStorage")
    whole = parsed is not None and parsed.list and parsed.list[-1].done == 1
    if request.content_type.startswith("multipart/") and not whole:
        raise refuse(400, "The upload is torn: it ends before its form does. Send it again")
    return form


class Gate:
    """Decides on every upload and removal. pypiserver asks it as its `auther`, before it does anything."""

    def __init__(self, rights: RightsFile):
        self._rights = rights

    def __call__(self, user: str, _password: str) -> bool:
        """Return True, or raise the answer that says why not."""
        form = whole_form()
        action = form.get(":action")
        try:
            if action == "file_upload":
                self._permit(user, "upload", self._project_of_upload())
            elif action == "remove_pkg":
                self._permit(user, "remove", distributions.normalise(form.get("name", "")))
            else:
                raise Refused(f"This index takes uploads and removals, and does not know the action {action!r}")
        except Refused as reason:
            raise refuse(400, str(reason)) from None
        return True

    def _permit(self, user: str, action: str, project: str) -> None:
        try:
            permitted = self._rights.current().permit(user, action, project)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            print(f"wheelhouse: the rights cannot be read, so everything is refused: {error!r}", file=sys.stderr)
            raise refuse(503, "The rights cannot be read just now. Tell those who run this index") from None
        if not permitted:
            raise refuse(403, f"{user} may not {action} {project or 'nameless projects'}")

    def _project_of_upload(self) -> str:
        """The project that an upload belongs to, by its file name: the form's fields could say anything."""
        contents = bottle.request.files.getall("content")
        if len(contents) != 1:
            raise Refused(f"An upload has one part named 'content', and this has {len(contents)}")
        if bottle.request.files.get("gpg_signature"):
            raise Refused("This index keeps no GPG signatures. Upload without one")
        return distributions.project_of(contents[0].raw_filename)


class CheckedStore(Store):
    """A store that looks at a file before it takes it, and answers in words."""

    def add_package(self, filename: str, stream) -> None:
        try:
            distributions.check_digests(stream, bottle.request.forms)
            distributions.check_archive(filename, stream)
            super().add_package(filename, stream)
        except Refused as reason:
            raise refuse(400, str(reason)) from None
        except Taken:
            raise refuse(409, f"{filename} is here already. Give the release a new version") from None
        except (OSError, ValueError) as error:
            raise unable(f"{filename} was not published, or is not on its page yet", error) from None

    def remove_package(self, pkg: PkgFile) -> None:
        try:
            super().remove_package(pkg)
        except (OSError, ValueError) as error:
            raise unable(f"{Path(pkg.fn).name} was not removed, or is still on its page", error) from None


def create(settings_file: str) -> Callable[[dict, Callable], Iterable[bytes]]:
    """Make the WSGI application (PEP 3333) from the kit's settings file."""
    settings = Settings.load(settings_file)
    # Bodies larger than a few kilobytes are spooled to temporary files.
    tempfile.tempdir = str(settings.spool)

    config = Config.default_with_overrides(
        roots=[str(settings.packages)],
        authenticate=["update"],
        auther=Gate(RightsFile(settings.rights)),
        backend_arg="simple-dir",
        disable_fallback=True,
        health_endpoint=HEALTH,
    )
    config.backend = BackendProxy(CheckedStore(config, Pages(settings.places)))
    app = pypiserver.setup_routes_from_config(pypiserver.app_from_config(config), config)
    app.default_error_handler = plain_text

    def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
        # An upload to where the data is not mounted would be lost from sight.
        if problem := (health.problem if environ["PATH_INFO"] == HEALTH else health.absence)(settings):
            start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "30")])
            return [f"{problem}\n".encode()]
        return app(trusting_apache(environ), start_response)

    return application


def trusting_apache(environ: dict) -> dict:
    """The request as pypiserver shall see it: who it is comes from Apache, and nothing from the client.

    pypiserver takes no REMOTE_USER without a password, so it is given an empty one. Of the headers,
    Bottle believes anybody's X-Forwarded-*.
    """
    forged = ("HTTP_AUTHORIZATION", "HTTP_X_FORWARDED_", "HTTP_FORWARDED")
    seen = {name: value for name, value in environ.items() if not name.startswith(forged)}
    if user := seen.get("REMOTE_USER"):
        seen["HTTP_AUTHORIZATION"] = "Basic " + base64.b64encode(f"{user}:".encode()).decode()
    if seen["PATH_INFO"] in UPLOADS:
        seen["PATH_INFO"] = "/"
    return seen
