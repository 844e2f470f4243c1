"""The WSGI application (PEP 3333): middleware around pypiserver.

The front Apache has checked network, password and URL before it passes a request on. This application checks the user's
rights and the upload itself; pypiserver does the rest.
"""

import base64
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

import pypiserver
from pypiserver.backend import BackendProxy
from pypiserver.config import Config

from wheelhouse.access.claims import Claims
from wheelhouse.access.policy import AccessPolicy
from wheelhouse.access.rights import RightsFile
from wheelhouse.audit.log import AuditLog
from wheelhouse.audit.request import AuditContext
from wheelhouse.config import Settings
from wheelhouse.errors import ForbiddenError, RequestError, UnauthenticatedError, UnhealthyError
from wheelhouse.pages.writer import PageWriter
from wheelhouse.storage.cleanup import remove_stale_files
from wheelhouse.storage.data_directory import DataDirectory, DataDirectoryError
from wheelhouse.storage.store import Store
from wheelhouse.storage.tombstones import Tombstones
from wheelhouse.web import health
from wheelhouse.web.admission import Admission
from wheelhouse.web.backend import Backend
from wheelhouse.web.backups import Backups
from wheelhouse.web.body import RequestBody
from wheelhouse.web.early_responses import EarlyResponses
from wheelhouse.web.errors import bottle, plain_text, status_line
from wheelhouse.web.readiness import NotReadyError, Readiness
from wheelhouse.web.request import REQUEST_KEY, Request
from wheelhouse.web.upload import ReceivingAuthorizer

UPLOAD_PATHS = ("/", "/legacy", "/legacy/")
HEALTH = "/-/health"
UPLOADS_HEALTH = "/-/health/uploads"
PLAIN_TEXT = [("Content-Type", "text/plain; charset=utf-8")]

Environ = dict[str, Any]


def create_app(settings: Settings) -> WSGIApplication:
    """Create the WSGI application."""
    data = DataDirectory(settings)
    settings = data.settings
    paths = settings.paths
    audit = AuditLog(settings.audit, settings.audit_head)
    claims = Claims(settings.claims, paths.locks / "claims")
    tombstones = Tombstones(settings.tombstones, paths.locks / "tombstones")
    policy = AccessPolicy(RightsFile(settings.rights), claims, settings.new_projects == "first_uploader")
    store = Store(settings, policy, tombstones, PageWriter(paths))
    app = create_pypiserver(settings, policy, store)
    admission = Admission(policy, settings.admission)
    readiness = Readiness(settings, policy, audit, store)
    early_responses = EarlyResponses(settings.early_responses)
    backups = Backups(settings.backup_status)
    # An error is not fatal here: the health check and each upload report it.
    with suppress(OSError), data.opened():
        remove_stale_files(settings)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == UPLOADS_HEALTH:
            return send(start_response, readiness_response(environ, data, readiness))
        try:
            with data.opened():
                if environ["PATH_INFO"] != HEALTH:
                    return send(start_response, audit_middleware(app, environ, admission, audit, early_responses))
                if problem := health.problem(settings):
                    return send(start_response, error_response(UnhealthyError(problem)))
                return send(start_response, with_detail(run_app(app, environ), backups.detail()))
        except DataDirectoryError as error:
            return send(start_response, error_response(UnhealthyError(str(error))))

    return application


def create_pypiserver(settings: Settings, policy: AccessPolicy, store: Store) -> WSGIApplication:
    """Create pypiserver's application, with our authorizer and backend."""
    config = Config.default_with_overrides(
        roots=[str(settings.packages)],
        authenticate=["update"],
        auther=ReceivingAuthorizer(policy, store),
        backend_arg="simple-dir",
        disable_fallback=True,
        health_endpoint=HEALTH,
    )
    config.backend = BackendProxy(Backend(config, store, current_request))
    app: Any = pypiserver.setup_routes_from_config(pypiserver.app_from_config(config), config)
    app.default_error_handler = plain_text
    wsgi_app: WSGIApplication = app
    return wsgi_app


@dataclass(frozen=True)
class Response:
    """A response. status: its status line, as in "403 bob is not allowed to upload foo"."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def code(self) -> int:
        """The HTTP status code."""
        return int(self.status[:3])


def send(start_response: StartResponse, response: Response) -> Iterable[bytes]:
    """Send a response through WSGI."""
    start_response(response.status, response.headers)
    return [response.body]


def readiness_response(environ: Environ, data: DataDirectory, readiness: Readiness) -> Response:
    """Return the response to a monitor that asks whether uploads are accepted."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return Response(
            "405 Method Not Allowed", [*PLAIN_TEXT, ("Allow", "GET, HEAD")], b"only GET and HEAD are allowed\n"
        )
    try:
        with data.opened():
            readiness.check()
    except DataDirectoryError as error:
        return error_response(readiness.no_data(str(error)))
    except NotReadyError as error:
        return error_response(error)
    return Response("200 OK", PLAIN_TEXT, b"ready\n")


def with_detail(response: Response, detail: bytes) -> Response:
    """Return a response with more text at the end of its body. The response to a HEAD request has none."""
    if not (detail and response.body):
        return response
    headers = [header for header in response.headers if header[0].lower() != "content-length"]
    return replace(response, headers=headers, body=response.body + detail)


def error_response(error: RequestError) -> Response:
    """Return the response to a request that is not passed on to pypiserver."""
    line, headers = status_line(error)
    body = line.partition(" ")[2].encode() + b"\n"
    return Response(line, [*PLAIN_TEXT, *headers.items()], body)


def current_request() -> Request:
    """Return the request that this thread processes."""
    request: Request = bottle.request.environ[REQUEST_KEY]
    return request


def audit_middleware(
    app: WSGIApplication, environ: Environ, admission: Admission, audit: AuditLog, early_responses: EarlyResponses
) -> Response:
    """Run the app for an authenticated and admitted request, and audit every error response.

    The body of a rejected request is not read to its end: Apache closes the connection.
    """
    environ = sanitize_environ(environ)
    context = AuditContext(audit, environ.get("REMOTE_USER", ""), environ.get("REMOTE_ADDR", ""))
    request = environ[REQUEST_KEY] = Request(RequestBody(environ), context)
    with request.resources:
        try:
            require_authentication(context)
            with admission.admit(context.user, context.address, request.body):
                response = run_app(app, environ)
        except RequestError as error:
            response = error_response(error)
    if response.code >= 400 and not context.is_logged:
        audit_error(context, response.status)
    if request.body.is_partly_read:
        # Without the file, the client still learns that the request failed.
        with suppress(OSError):
            request_id = environ.get("HTTP_X_REQUEST_ID", "")
            early_responses.write(request_id, response.status, response.headers, response.body)
    return response


def require_authentication(context: AuditContext) -> None:
    """Raise UnauthenticatedError for a request without a user."""
    if not context.user:
        raise UnauthenticatedError("Log in with a user and a password of this index")


def run_app(app: WSGIApplication, environ: Environ) -> Response:
    """Return the complete response of a WSGI application: responses to uploads and removals are one line."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> Any:
        started.append((status, headers))

    body = b"".join(app(environ, start_response))
    status, headers = started[-1]
    return Response(status, headers, body)


def audit_error(context: AuditContext, status: str) -> None:
    """Write a rejection to the audit log. status: the status line of the response, which has the reason."""
    code, _, reason = status.partition(" ")
    try:
        context.write(ForbiddenError.event if code in ("401", "403") else RequestError.event, reason)
    except (OSError, ValueError) as error:
        # The request stays rejected.
        print(f"wheelhouse: a rejection is not in the audit log: {reason}: {error!r}", file=sys.stderr)


def sanitize_environ(environ: Environ) -> Environ:
    """Return the environment for pypiserver, with the user that the front has authenticated.

    Only the front can connect to this application, and it replaces X-Forwarded-User: that is the authenticated user.
    pypiserver needs a password to accept REMOTE_USER, so it gets an empty one. Bottle trusts the other X-Forwarded-*
    headers, which the client may have sent, so they are dropped.
    """
    dropped = ("HTTP_AUTHORIZATION", "HTTP_X_FORWARDED_", "HTTP_FORWARDED", "REMOTE_USER", "AUTH_TYPE")
    sanitized = {name: value for name, value in environ.items() if not name.startswith(dropped)}
    if user := environ.get("HTTP_X_FORWARDED_USER", ""):
        sanitized |= {"REMOTE_USER": user, "AUTH_TYPE": "Basic"}
        sanitized["HTTP_AUTHORIZATION"] = "Basic " + base64.b64encode(f"{user}:".encode()).decode()
    if sanitized["PATH_INFO"] in UPLOAD_PATHS:
        sanitized["PATH_INFO"] = "/"
    return sanitized
