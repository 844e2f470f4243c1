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


class Unable(Refused):
    """The index cannot do it just now, through no fault of the sender's."""

    status = 503


class Full(Unable):
    """There is no room for it (RFC 4918, section 11.5)."""

    status = 507
