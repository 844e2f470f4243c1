"""What keeps a request from being granted. The text is for the person who sent it: what is wrong, and what to do."""


class Refused(Exception):
    """A request that the index does not grant as it is. status: the answer's, by RFC 9110."""

    status = 400
    event = "refused"  # what the audit log calls it


class Denied(Refused):
    """Somebody may not do this."""

    status = 403
    event = "denied"


class Stranger(Denied):
    """Nobody whom Apache has signed in."""

    status = 401


class Missing(Refused):
    """What is to be removed is not there."""

    status = 404


class Taken(Refused):
    """A name that is in use, or was, for other bytes."""

    status = 409


class RequestTimeout(Refused):
    """The body did not arrive in time, or too slowly (RFC 9110, section 15.5.9)."""

    status = 408


class LengthRequired(Refused):
    """A body without a Content-Length (RFC 9110, section 15.5.12)."""

    status = 411


class TooLarge(Refused):
    """A body that is longer than pypi_max_upload_size (RFC 9110, section 15.5.14)."""

    status = 413


class Unable(Refused):
    """The index cannot do it just now, through no fault of the sender's."""

    status = 503
    retry_after = 60  # seconds


class Unhealthy(Unable):
    """The index as a whole cannot work: its data is absent, or its health check fails."""

    retry_after = 30


class Busy(Unable):
    """As many requests are in progress as the settings allow."""

    retry_after = 5


class Full(Unable):
    """There is no room for it (RFC 4918, section 11.5)."""

    status = 507
