"""Errors that reject a request, one class for each HTTP status (RFC 9110), and helpers for their messages.

The text of an error is sent to the client: it says what is wrong and what to do.
"""


class RequestError(Exception):
    """The request is not valid (400).

    status: the HTTP status of the response; event: the name of the rejection in the audit log.
    """

    status = 400
    event = "refused"


class ForbiddenError(RequestError):
    """The user is not allowed to do this (403)."""

    status = 403
    event = "denied"


class UnauthenticatedError(ForbiddenError):
    """The request is not authenticated (401)."""

    status = 401


class NotFoundError(RequestError):
    """The release to remove does not exist (404)."""

    status = 404


class ConflictError(RequestError):
    """The filename is or was used for different content (409)."""

    status = 409


class RequestTimeoutError(RequestError):
    """The body did not arrive in time, or too slowly (408; RFC 9110, section 15.5.9)."""

    status = 408


class LengthRequiredError(RequestError):
    """The body has no Content-Length (411; RFC 9110, section 15.5.12)."""

    status = 411


class ContentTooLargeError(RequestError):
    """The body is longer than pypi_max_upload_size (413; RFC 9110, section 15.5.14)."""

    status = 413


class ServiceUnavailableError(RequestError):
    """The index cannot process the request now; the request itself may be valid (503).

    retry_after: seconds, for the header Retry-After.
    """

    status = 503
    retry_after = 60


class UnhealthyError(ServiceUnavailableError):
    """The whole index cannot work: the data directory is unavailable, or the health check fails."""

    retry_after = 30


class BusyError(ServiceUnavailableError):
    """As many requests are in progress as the settings allow."""

    retry_after = 5


class InsufficientStorageError(ServiceUnavailableError):
    """There is not enough free space, or the quota is exceeded (507; RFC 4918, section 11.5)."""

    status = 507


def short_repr(text: str) -> str:
    """Return a string for a message: quoted, in ASCII, at most 80 characters of it."""
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")
