"""A line of the audit log: a JSON object in ASCII, in which nothing that a client sends can end the line."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# Somebody says that it is meant that data and log do not fit: see wheelhouse.audit.continuity.
ACCEPTED = "accepted"

# What a line may tell of. undone: the work that a line before tells of failed after all.
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

# What the log tells of itself: a file begins, after the one before was rotated; or the log was not found as it had
# been left.
OPENED, BROKEN = "opened", "broken"

# Of each line, in this order. "previous" comes last: it is for programs.
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

# Characters. What a client may choose is cut, so that each line is short.
LONGEST_TEXT = 250
LONGEST_REASON = 500

# Bytes of a line: six texts and a reason, in which each character becomes twelve bytes at the most (two escapes).
LONGEST_LINE = 1 << 15

# What the very first line has for the digest of the one before it.
NOTHING = "0" * 64


def digest_of(raw: bytes) -> str:
    """The SHA-256, in hexadecimal, of a line without its end."""
    return hashlib.sha256(raw).hexdigest()


def cut(text: str, longest: int) -> str:
    """A text, shortened so that it can be seen."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


@dataclass(frozen=True)
class Line:
    """One line. raw: its bytes, without the line's end; facts: what it says, by the names in KEYS."""

    raw: bytes
    facts: Mapping[str, Any]

    @property
    def number(self) -> int:
        """Lines are numbered from 1, through all files."""
        return self.facts["number"]

    @property
    def event(self) -> str:
        return self.facts["event"]

    @property
    def time(self) -> str:
        return self.facts["time"]

    @property
    def previous(self) -> str:
        return self.facts["previous"]

    @property
    def digest(self) -> str:
        return digest_of(self.raw)

    @classmethod
    def after(cls, before: "Line | None", facts: Mapping[str, Any]) -> "Line":
        """The line that follows another one, or none. facts: those that are None are left out."""
        chained = {
            "number": before.number + 1 if before else 1,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "previous": before.digest if before else NOTHING,
        }
        known = {key: value for key, value in {**facts, **chained}.items() if value is not None}
        told = {
            key: cut(known[key], LONGEST_REASON if key == "reason" else LONGEST_TEXT)
            if isinstance(known[key], str)
            else known[key]
            for key in KEYS
            if key in known
        }
        return cls(json.dumps(told, ensure_ascii=True, separators=(",", ":")).encode("ascii"), told)

    @classmethod
    def parse(cls, raw: bytes) -> "Line":
        """Read a line, without its end. Raises ValueError if it is none."""
        try:
            facts = json.loads(raw.decode("ascii"))
        except RecursionError:
            raise ValueError("it is no line of the audit log") from None
        if not isinstance(facts, dict) or not facts.keys() <= set(KEYS):
            raise ValueError("it is no line of the audit log")
        texts = {key: facts.get(key) for key in ("time", "event", "user", "address", "previous")}
        numbers = {"number": facts.get("number"), "size": facts.get("size", 0)}
        if not all(type(number) is int for number in numbers.values()) or not all(
            isinstance(text, str) for key, text in (facts | texts).items() if key not in numbers
        ):
            raise ValueError("it is no line of the audit log")
        return cls(raw, facts)
