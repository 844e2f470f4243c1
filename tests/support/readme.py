"""The code blocks of Markdown files, for tests that run the documented commands."""

import re
from pathlib import Path
from textwrap import dedent

from support import ROOT


def section(path: Path | str, title: str) -> str:
    """Return the text below a heading, up to the next one of the same or a higher level. Raises ValueError."""
    text = (ROOT / path).read_text(encoding="utf-8")
    heading = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    if heading is None:
        raise ValueError(f"{path} has no section {title!r}")
    rest = text[heading.end() :]
    following = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def blocks(text: str) -> list[str]:
    """Return the code blocks of a text in order: lines indented by at least four columns, without the indentation.

    List items are indented by three columns at most. Blank lines within a block belong to it.
    """
    found = re.findall(r"(?:^ {4,}\S.*\n(?:[ \t]*\n(?= {4,}\S))*)+", text, re.MULTILINE)
    return [dedent(block) for block in found]


def paragraphs(block: str) -> dict[str, str]:
    """Split a block at its comments: {"pip": "export ..."}."""
    parts = re.split(r"^# (.+)\n", block, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
