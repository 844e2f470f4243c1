"""The WSGI application: pypiserver, with Apache's word for who somebody is.

Apache has checked network, password and URL before a request gets here. What is left is the
person's rights and the upload itself; pypiserver does the rest.
"""

import base64
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

import pypiserver
from pypiserver.backend import BackendProxy
from pypiserver.config import Config

from wheelhouse import health
from wheelhouse.answers import answer_to, bottle, plain_text
from wheelhouse.attempt import Attempt
from wheelhouse.audit import Audit
from wheelhouse.backend import Backend
from wheelhouse.claims import Claims
from wheelhouse.entrance import ATTEMPT, BODY, FORM, RECEIVED, Entrance
from wheelhouse.gate import Gate
from wheelhouse.held import Absent, Held
from wheelhouse.incoming import Body, Form
from wheelhouse.leftovers import clear_leftovers
from wheelhouse.pages.site import Pages
from wheelhouse.refusals import Denied, Refused, Stranger
from wheelhouse.rights import RightsFile
from wheelhouse.settings import Settings
from wheelhouse.store import Store
from wheelhouse.tombstones import Tombstones

UPLOADS = ("/", "/legacy", "/legacy/")
HEALTH = "/-/health"


def create(settings_file: str) -> Callable[[dict, Callable], Iterable[bytes]]:
    """Make the WSGI application (PEP 3333) from the kit's settings file."""
    held = Held(Settings.load(settings_file))
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
    app.add_hook("before_request", admit)
    # Whatever keeps them from being cleared, health and each upload will say.
    with suppress(OSError), held.at_work():
        clear_leftovers(settings)

    def application(environ: dict, start_response: Callable) -> Iterable[bytes]:
        environ = at_the_root(environ)
        try:
            # Nothing of it ends up anywhere else, whatever is mounted meanwhile.
            with held.at_work():
                if environ["PATH_INFO"] != HEALTH:
                    return attended(app, environ, start_response, audit)
                if problem := health.problem(settings):
                    return unable(environ, start_response, problem)
                return app(environ, start_response)
        except Absent as reason:
            return unable(environ, start_response, str(reason))

    return application


def unable(environ: dict, start_response: Callable, reason: str) -> Iterable[bytes]:
    """Answer that the index cannot do its work just now."""
    Body(environ).drain()
    start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "30")])
    return [f"{reason}\n".encode()]


def at_the_root(environ: dict) -> dict:
    """The request with all of its path in PATH_INFO: of an alias with a pattern, Apache takes it for the script's."""
    return environ | {"SCRIPT_NAME": "", "PATH_INFO": environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]}


def current() -> tuple[Attempt, Form]:
    """What is known of the request that is being answered."""
    return bottle.request.environ[ATTEMPT], bottle.request.environ[FORM]


def attended(app: Callable, environ: dict, start_response: Callable, audit: Audit) -> Iterable[bytes]:
    """Have a request answered, by whom Apache has signed in, and see to it that the audit log knows of each refusal."""
    seen = trusting_apache(environ)
    attempt = seen[ATTEMPT] = Attempt(seen.get("REMOTE_USER", ""), seen.get("REMOTE_ADDR", ""))
    body = seen[BODY] = Body(environ)
    started = []
    try:
        chunks = app(seen, lambda *answer: started.append(answer))
    finally:
        if RECEIVED in seen:
            seen[RECEIVED].close()
    # Who is cut off while sending does not see the answer.
    body.drain()
    status = started[-1][0]
    if int(status[:3]) >= 400 and not attempt.told:
        tell_of_refusal(audit, attempt, status)
    start_response(*started[-1])
    return chunks


def tell_of_refusal(audit: Audit, attempt: Attempt, status: str) -> None:
    """Write a refusal to the audit log. status: the answer's status line, which has the reason."""
    code, _, reason = status.partition(" ")
    try:
        audit.write(Denied.event if code in ("401", "403") else Refused.event, **attempt.facts(), reason=reason)
    except (OSError, ValueError) as error:
        # Refused it is, all the same.
        print(f"wheelhouse: a refusal is not in the audit log: {reason}: {error!r}", file=sys.stderr)


def is_signed_in(environ: dict) -> bool:
    """Whether Apache has checked a password: only Apache sets these variables, and no header becomes one of them."""
    return bool(environ.get("REMOTE_USER")) and environ.get("AUTH_TYPE", "").lower() == "basic"


def admit() -> None:
    """Refuse a request that did not come by way of Apache's password check. Bottle asks before each one."""
    environ = bottle.request.environ
    if environ["PATH_INFO"] != HEALTH and not is_signed_in(environ):
        raise answer_to(Stranger("Sign in with a user and a password of this index"))


def trusting_apache(environ: dict) -> dict:
    """The request as pypiserver shall see it: who it is comes from Apache, and nothing from the client.

    pypiserver takes no REMOTE_USER without a password, so it is given an empty one. Of the headers,
    Bottle believes anybody's X-Forwarded-*.
    """
    forged = ("HTTP_AUTHORIZATION", "HTTP_X_FORWARDED_", "HTTP_FORWARDED")
    seen = {name: value for name, value in environ.items() if not name.startswith(forged)}
    if is_signed_in(seen):
        seen["HTTP_AUTHORIZATION"] = "Basic " + base64.b64encode(f"{seen['REMOTE_USER']}:".encode()).decode()
    if seen["PATH_INFO"] in UPLOADS:
        seen["PATH_INFO"] = "/"
    return seen
