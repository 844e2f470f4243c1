"""The rows of the table of attacks, and their results."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Result:
    """The observations of one attack on one server.

    measured: what was observed, in the order of its measurement; failures: the requirements that were not met.
    """

    measured: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def check(self, requirement: str, is_met: bool, measured: object = "") -> None:
        """Record a requirement and what was measured for it."""
        text = f"{requirement}: {measured}" if str(measured) else requirement
        self.measured.append(text)
        if not is_met:
            self.failures.append(text)

    def note(self, text: str) -> None:
        """Record an observation without a requirement."""
        self.measured.append(text)


@dataclass(frozen=True)
class Log:
    """Where an attack must be logged. name: access, error or audit; pattern: a regular expression for new lines."""

    name: str
    pattern: str


@dataclass(frozen=True)
class Attack:
    """A row of the table.

    finding: the number in the issue; role: the attacker's; name: its test id; means: how it attacks; expected: what
    must happen; run: carries it out; log: where it must be logged, or None; quick: part of `make test`.
    """

    finding: str
    role: str
    name: str
    means: str
    expected: str
    run: Callable
    log: Log | None = None
    quick: bool = False

    def __post_init__(self) -> None:
        """Check the role."""
        if self.role not in ROLES:
            raise ValueError(f"{self.role} is not one of {ROLES}")


ROLES = ("anonymous", "reader", "publisher", "malicious upload", "local user", "compromised pypi", "operation")
