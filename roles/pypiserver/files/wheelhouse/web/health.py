"""The health check of the application."""

from wheelhouse.audit.log import AuditLog
from wheelhouse.config import Settings
from wheelhouse.files.atomic import check_writable


def problem(settings: Settings) -> str | None:
    """Return why the index cannot work although its data directory is available, in a sentence, or None."""
    try:
        check_writable(settings.packages)
    except OSError as error:
        return f"The data directory cannot be written: {error.strerror}."
    if not settings.paths.complete.exists():
        return "The pages are not complete, so Apache serves none. Run: wheelhouse rebuild"
    try:
        AuditLog(settings.audit, settings.audit_head).check()
    except OSError as error:
        return f"The audit log cannot be written, so uploads are rejected: {error.strerror}."
    return None
