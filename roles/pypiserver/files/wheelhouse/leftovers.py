"""What processes have left behind that were ended in the middle of their work."""

from wheelhouse.pages.disk import UNFINISHED, clear_hidden
from wheelhouse.settings import Settings
from wheelhouse.store.hidden import PREFIX


def clear_leftovers(settings: Settings) -> None:
    """Remove half-written files, and none that somebody is still writing. Raises OSError."""
    clear_hidden(settings.packages, PREFIX)
    for directory in settings.places.written:
        clear_hidden(directory, UNFINISHED)
