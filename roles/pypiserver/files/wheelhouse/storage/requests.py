"""What a client asks the store for: an upload or a removal. Each is created once, when the request has been read."""

from collections.abc import Mapping
from dataclasses import dataclass

from wheelhouse.audit.request import AuditContext
from wheelhouse.storage.upload_file import TemporaryUpload


@dataclass(frozen=True)
class Upload:
    """An upload that was received completely.

    project: normalized name (PEP 503), parsed from the filename; fields: the form; file: the received content; audit:
    who sent it, and its entries in the audit log.
    """

    filename: str
    project: str
    fields: Mapping[str, str]
    file: TemporaryUpload
    audit: AuditContext


@dataclass(frozen=True)
class Removal:
    """A request to remove the files of a release. project: normalized name (PEP 503); audit: as of an Upload."""

    project: str
    audit: AuditContext
