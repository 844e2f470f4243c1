"""The WSGI application: pypiserver, behind the Apache that has authenticated the user.

The front Apache has checked network, password and URL before it passes a request on. What is left are
the user's rights and the upload itself; pypiserver does the rest.
"""

import base64
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import pypiserver
from pypiserver.backend import BackendProxy
from pypiserver.config import Config

from wheelhouse import health
from wheelhouse.admission import Admission
from wheelhouse.answers import bottle, plain_text, status_line
from wheelhouse.attempt import Attempt
from wheelhouse.audit import Audit
from wheelhouse.backend import Backend
from wheelhouse.claims import Claims
from wheelhouse.early_answers import EarlyAnswers
from wheelhouse.entrance import ATTEMPT, BODY, FORM, RECEIVED, Entrance
from wheelhouse.gate import Gate
from wheelhouse.held import Absent, Held
from wheelhouse.incoming import Body, Form
from wheelhouse.leftovers import clear_leftovers
from wheelhouse.pages.site import Pages
from wheelhouse.readiness import NotReady, Readiness
from wheelhouse.refusals import Denied, Refused, Stranger, Unhealthy
from wheelhouse.rights import RightsFile
from wheelhouse.settings import Settings
from wheelhouse.store import Store
from wheelhouse.tombstones import Tombstones

UPLOADS = ("/", "/legacy", "/legacy/")
HEALTH = "/-/health"
UPLOADS_HEALTH = "/-/health/uploads"
PLAIN_TEXT = [("Content-Type", "text/plain; charset=utf-8")]


def create(settings: Settings) -> Callable[[dict, Callable], Iterable[bytes]]:
    """Make the WSGI application (PEP 3333)."""
    held = Held(settings)
    settings = held.settings
    places = settings.places
    audit = Audit(settings.audit, settings.audit_head)
    claims = Claims(settings.claims, places.locks / "claims")
    tombstones = Tombstones(settings.tombstones, places.locks / "tombstones")
    gate = Gate(RightsFile(settings.rights), claims, settings.new_projects == "first_uploader")
    store = Store(settings, gate, audit, tombstones, Pages(places))

    config = Config.default_with_overrides(
        roots=[str(settings.packages)],
        authenticate=["update"],
        auther=Entrance(gate, store),
        backend_arg="simple-dir",
        disable_fallback=True,
        health_endpoint=HEALTH,
    )
    config.backend = BackendProxy(Backend(config, store, current))
    app = pypiserver.setup_routes_from_config(pypiserver.app_from_config(config), config)
    app.default_error_handler = plain_text
    admission = Admission(gate, settings.admission)
    readiness = Readiness(settings, gate, audit, store)
    early_answers = EarlyAnswers(settings.early_answers)
    # Whatever keeps them from being cleared, health and each upload will say.
    with suppress(OSError), held.at_work():
        clear_leftovers(settings)

    def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
        if environ["PATH_INFO"] == UPLOADS_HEALTH:
            return send(start_response, ready(environ, held, readiness))
        try:
            # Nothing of it ends up anywhere else, whatever is mounted meanwhile.
            with held.at_work():
                if environ["PATH_INFO"] != HEALTH:
                    return send(start_response, attended(app, environ, admission, audit, early_answers))
                if problem := health.problem(settings):
                    return send(start_response, rejected(Unhealthy(problem)))
                return app(environ, start_response)
        except Absent as reason:
            return send(start_response, rejected(Unhealthy(str(reason))))

    return application


@dataclass(frozen=True)
class Answer:
    """A response. status: its status line, as in "403 bob may not"."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def code(self) -> int:
        return int(self.status[:3])


def send(start_response: Callable, answer: Answer) -> Iterable[bytes]:
    """Answer a request, as WSGI has it."""
    start_response(answer.status, answer.headers)
    return [answer.body]


def ready(environ: dict, held: Held, readiness: Readiness) -> Answer:
    """Answer a monitor that asks whether uploads are accepted."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return Answer("405 Method Not Allowed", [*PLAIN_TEXT, ("Allow", "GET, HEAD")], b"this is only read\n")
    try:
        with held.at_work():
            readiness.check()
    except Absent as reason:
        return rejected(readiness.no_data(str(reason)))
    except NotReady as reason:
        return rejected(reason)
    return Answer("200 OK", PLAIN_TEXT, b"ready\n")


def rejected(reason: Refused) -> Answer:
    """The answer to a request that pypiserver does not get to see."""
    line, headers = status_line(reason)
    body = line.partition(" ")[2].encode() + b"\n"
    return Answer(line, [*PLAIN_TEXT, *headers.items()], body)


def current() -> tuple[Attempt, Form]:
    """What is known of the request that is being answered."""
    return bottle.request.environ[ATTEMPT], bottle.request.environ[FORM]


def attended(app: Callable, environ: dict, admission: Admission, audit: Audit, early_answers: EarlyAnswers) -> Answer:
    """Answer a request of the user whom the front has authenticated. The audit log gets each rejection.

    What is rejected before its end is not read to its end: Apache closes the connection.
    """
    seen = from_the_front(environ)
    attempt = seen[ATTEMPT] = Attempt(seen.get("REMOTE_USER", ""), seen.get("REMOTE_ADDR", ""))
    body = seen[BODY] = Body(environ)
    try:
        if not attempt.user:
            raise Stranger("Sign in with a user and a password of this index")
        with admission.admit(attempt.user, attempt.address, body):
            answer = answer_of(app, seen)
    except Refused as reason:
        answer = rejected(reason)
    finally:
        if RECEIVED in seen:
            seen[RECEIVED].close()
    if answer.code >= 400 and not attempt.told:
        tell_of_refusal(audit, attempt, answer.status)
    if body.is_read_in_part:
        # Without it the client still learns that something went wrong.
        with suppress(OSError):
            request_id = environ.get("HTTP_X_REQUEST_ID", "")
            early_answers.write(request_id, answer.status, answer.headers, answer.body)
    return answer


def answer_of(app: Callable, environ: dict) -> Answer:
    """What a WSGI application answers, whole: answers to uploads and removals are a line long."""
    started: list = []
    body = b"".join(app(environ, lambda *answer: started.append(answer)))
    status, headers, *_ = started[-1]
    return Answer(status, headers, body)


def tell_of_refusal(audit: Audit, attempt: Attempt, status: str) -> None:
    """Write a refusal to the audit log. status: the answer's status line, which has the reason."""
    code, _, reason = status.partition(" ")
    try:
        audit.write(Denied.event if code in ("401", "403") else Refused.event, **attempt.facts(), reason=reason)
    except (OSError, ValueError) as error:
        # Refused it is, all the same.
        print(f"wheelhouse: a refusal is not in the audit log: {reason}: {error!r}", file=sys.stderr)


def from_the_front(environ: dict) -> dict:
    """The request as pypiserver shall see it.

    Only the front can connect to this application, and it replaces X-Forwarded-User: that is the authenticated user.
    pypiserver takes no REMOTE_USER without a password, so it is given an empty one. Bottle believes the other
    X-Forwarded-* headers, so they are dropped.
    """
    dropped = ("HTTP_AUTHORIZATION", "HTTP_X_FORWARDED_", "HTTP_FORWARDED", "REMOTE_USER", "AUTH_TYPE")
    seen = {name: value for name, value in environ.items() if not name.startswith(dropped)}
    if user := environ.get("HTTP_X_FORWARDED_USER", ""):
        seen |= {"REMOTE_USER": user, "AUTH_TYPE": "Basic"}
        seen["HTTP_AUTHORIZATION"] = "Basic " + base64.b64encode(f"{user}:".encode()).decode()
    if seen["PATH_INFO"] in UPLOADS:
        seen["PATH_INFO"] = "/"
    return seen
