"""A parser of Apache's configuration."""

import re
from dataclasses import dataclass, field

SITE = "templates/etc/apache2/sites-available/pypi.conf.j2"
PORTS = "templates/etc/apache2/ports.conf.j2"
APPLICATION = "templates/etc/pypi/application.conf.j2"


@dataclass
class Section:
    """A section of the configuration: <kind argument> with its directives and sections."""

    kind: str = ""
    argument: str = ""
    lines: list[str] = field(default_factory=list)
    sections: list["Section"] = field(default_factory=list)

    def all(self, kind: str) -> list["Section"]:
        """Return the direct subsections of a kind."""
        return [section for section in self.sections if section.kind == kind]

    def values(self, directive: str) -> list[str]:
        """Return the arguments of each occurrence of a directive directly in this section."""
        return [line.partition(" ")[2] for line in self.lines if line.partition(" ")[0] == directive]


def parse(text: str) -> Section:
    """Parse Apache's configuration. Raises AssertionError if sections are not closed in order."""
    stack = [Section()]
    for line in text.replace("\\\n", " ").splitlines():
        stripped = re.sub(r"\s+", " ", line.strip())
        if not stripped or stripped.startswith("#"):
            continue
        if closing := re.fullmatch(r"</(\w+)>", stripped):
            assert stack.pop().kind == closing[1], line
        elif opening := re.fullmatch(r"<(\w+) ?(.*)>", stripped):
            stack[-1].sections.append(Section(opening[1], opening[2].strip('"')))
            stack.append(stack[-1].sections[-1])
        else:
            stack[-1].lines.append(stripped)
    (whole,) = stack
    return whole
