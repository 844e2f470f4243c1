"""The state of one HTTP request, in its WSGI environment under one key."""

from contextlib import ExitStack

from wheelhouse.audit.request import AuditContext
from wheelhouse.storage.requests import Removal, Upload
from wheelhouse.web.body import RequestBody

# The key of the Request in the WSGI environment.
REQUEST_KEY = "wheelhouse.request"


class Request:
    """An HTTP request of one client.

    body: the unread body; audit: writes its audit log entries; resources: are closed when the request ends. The upload
    or removal is set once, by the authorizer, after the body was read.
    """

    def __init__(self, body: RequestBody, audit: AuditContext) -> None:
        self.body, self.audit = body, audit
        self.resources = ExitStack()
        self._operation: Upload | Removal | None = None

    def authorize(self, operation: Upload | Removal) -> None:
        """Set what the client is allowed to do with this request."""
        self._operation = operation

    @property
    def upload(self) -> Upload:
        """The authorized upload. Raises TypeError if there is none."""
        if not isinstance(self._operation, Upload):
            raise TypeError("the request is not an authorized upload")
        return self._operation

    @property
    def removal(self) -> Removal:
        """The authorized removal. Raises TypeError if there is none."""
        if not isinstance(self._operation, Removal):
            raise TypeError("the request is not an authorized removal")
        return self._operation
