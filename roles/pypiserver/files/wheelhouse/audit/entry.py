"""An entry of the audit log: one line, a JSON object in ASCII, so that no value can contain a line end."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# An admin accepts data that do not match the log: see wheelhouse.audit.continuity.
ACCEPTED = "accepted"

# The events that are written by others than the log. undone: the action of an earlier entry failed.
EVENTS = frozenset(
    {
        "upload",
        "same",
        "refused",
        "denied",
        "removed",
        "tombstone",
        "claimed",
        "claim-changed",
        "yanked",
        "unyanked",
        "name-released",
        "undone",
        ACCEPTED,
    }
)

# The events of the log itself: a file begins after a rotation; log and head did not match.
OPENED, BROKEN = "opened", "broken"

# The keys of an entry, in this order. "previous" comes last: it is for programs, not for people.
KEYS = (
    "number",
    "time",
    "event",
    "user",
    "address",
    "project",
    "version",
    "filename",
    "size",
    "sha256",
    "reason",
    "previous",
)

# Characters. Longer values, which clients may choose, are truncated.
MAX_TEXT_LENGTH = 250
MAX_REASON_LENGTH = 500

# Bytes of a line: six texts and a reason, in which each character takes at most twelve bytes (two escapes).
MAX_LINE_SIZE = 1 << 15

# The digest of the previous entry in the first entry.
NO_PREVIOUS = "0" * 64

INVALID_ENTRY = "not a valid entry of the audit log"


def digest_of(raw: bytes) -> str:
    """Return the SHA-256 of a line without its line end, in hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def truncate(text: str, max_length: int) -> str:
    """Shorten a text to a number of characters, and mark that it was shortened."""
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


@dataclass(frozen=True)
class AuditEntry:
    """One entry. raw: its line without the line end; facts: its values by the names in KEYS."""

    raw: bytes
    facts: Mapping[str, Any]

    @property
    def number(self) -> int:
        """The number of the entry, from 1, through all files."""
        return int(self.facts["number"])

    @property
    def event(self) -> str:
        """One of EVENTS, OPENED or BROKEN."""
        return str(self.facts["event"])

    @property
    def time(self) -> str:
        """ISO 8601, UTC."""
        return str(self.facts["time"])

    @property
    def previous(self) -> str:
        """The digest of the previous entry."""
        return str(self.facts["previous"])

    @property
    def digest(self) -> str:
        """The digest of this entry."""
        return digest_of(self.raw)

    @classmethod
    def following(cls, previous: "AuditEntry | None", facts: Mapping[str, Any]) -> "AuditEntry":
        """Return the entry that follows another one. facts that are None are left out."""
        chained = {
            "number": previous.number + 1 if previous else 1,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "previous": previous.digest if previous else NO_PREVIOUS,
        }
        given = {key: value for key, value in {**facts, **chained}.items() if value is not None}
        ordered = {
            key: truncate(given[key], MAX_REASON_LENGTH if key == "reason" else MAX_TEXT_LENGTH)
            if isinstance(given[key], str)
            else given[key]
            for key in KEYS
            if key in given
        }
        return cls(json.dumps(ordered, ensure_ascii=True, separators=(",", ":")).encode("ascii"), ordered)

    @classmethod
    def parse(cls, raw: bytes) -> "AuditEntry":
        """Parse a line without its line end. Raises ValueError if it is not a valid entry."""
        try:
            facts = json.loads(raw.decode("ascii"))
        except RecursionError:
            raise ValueError(INVALID_ENTRY) from None
        if not isinstance(facts, dict) or not facts.keys() <= set(KEYS):
            raise ValueError(INVALID_ENTRY)
        texts = {key: facts.get(key) for key in ("time", "event", "user", "address", "previous")}
        numbers = {"number": facts.get("number"), "size": facts.get("size", 0)}
        if not all(type(number) is int for number in numbers.values()) or not all(
            isinstance(text, str) for key, text in (facts | texts).items() if key not in numbers
        ):
            raise ValueError(INVALID_ENTRY)
        return cls(raw, facts)
