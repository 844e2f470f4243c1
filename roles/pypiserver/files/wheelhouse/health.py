"""Whether the index can do its work."""

import os
import tempfile

from wheelhouse.audit import Audit
from wheelhouse.settings import Settings


def absence(settings: Settings) -> str | None:
    """Why what is in the data directory is not the index's data, in a sentence, or None."""
    if settings.data_is_mount and not os.path.ismount(settings.data):
        return "The data directory is not mounted."
    try:
        settings.mark.read_bytes()
    except OSError:
        return "The data directory is not the index's: its mark cannot be read."
    return None


def problem(settings: Settings) -> str | None:
    """What keeps the index from working, in a sentence, or None."""
    if absent := absence(settings):
        return absent
    try:
        # Without a name, so that nothing is left behind whatever happens.
        with tempfile.TemporaryFile(dir=settings.packages) as file:
            file.write(b"\0")
    except OSError as error:
        return f"The data directory cannot be written: {error.strerror}."
    try:
        Audit(settings.audit, settings.audit_head).check()
    except OSError as error:
        return f"The audit log cannot be written, so nothing is taken: {error.strerror}."
    return None
