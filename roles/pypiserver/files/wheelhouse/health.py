"""Whether the index can do its work."""

import tempfile

from wheelhouse.audit import Audit
from wheelhouse.settings import Settings


def problem(settings: Settings) -> str | None:
    """What keeps the index from working though its data is there, in a sentence, or None."""
    try:
        # Without a name, so that nothing is left behind whatever happens.
        with tempfile.TemporaryFile(dir=settings.packages) as file:
            file.write(b"\0")
    except OSError as error:
        return f"The data directory cannot be written: {error.strerror}."
    if not settings.places.complete.exists():
        return "The pages are not complete, so Apache serves none. Run: wheelhouse rebuild"
    try:
        Audit(settings.audit, settings.audit_head).check()
    except OSError as error:
        return f"The audit log cannot be written, so nothing is taken: {error.strerror}."
    return None
