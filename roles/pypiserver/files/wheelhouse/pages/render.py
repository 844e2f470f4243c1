"""The text of the pages.

A project's page and the root list come as HTML (PEP 503, with the marks of PEP 592, 629, 658, 714) and as JSON
(PEP 691, PEP 700, PEP 792). The same input gives the same bytes.
"""

import json
from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import quote

from packaging.version import Version

from wheelhouse.pages.record import Entry
from wheelhouse.pages.upload_times import time_of
from wheelhouse.pages.yanks import same_for_all_spellings

# The newest version of the API, in HTML (PEP 629) and JSON. What a page must have is served: versions and sizes since
# 1.1 (PEP 700). What 1.2 (PEP 708, tracks), 1.3 (PEP 740, provenance) and 1.4 (PEP 792, status) added is optional. No
# project tracks another, attestations are rejected, and every project is active, which is what no status means.
API_VERSION = "1.4"

HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="pypi:repository-version" content="{version}">
<meta name="robots" content="noindex">
<title>{title}</title>
<link rel="stylesheet" href="{style}">
</head>
"""

LANDING = """{head}<body>
<main>
<h1>Private package index</h1>
<p>Python packages of our own, beside those of the public index. Programs read it at <code>{url}simple/</code>.</p>

<section class="how">
<details><summary>pip</summary>
<pre>pip config set global.index-url {url}simple/
pip install PROJECT</pre>
<p>The login belongs into <code>~/.netrc</code>.</p></details>
<details><summary>uv</summary>
<pre>export UV_DEFAULT_INDEX={url}simple/
uv pip install PROJECT

uv publish --publish-url {url} --username YOU dist/*</pre></details>
<details><summary>twine</summary>
<pre>twine upload --repository-url {url} --username YOU dist/*</pre></details>
<details><summary>poetry</summary>
<pre>poetry source add --priority primary private {url}simple/
poetry config http-basic.private YOU

poetry config repositories.private {url}
poetry publish --build --repository private</pre></details>
</section>

<h2>{count}</h2>
<p class="filter" hidden><input type="search" id="filter" placeholder="Filter" aria-label="Filter the projects"></p>
<ul class="projects" id="projects">
{rows}</ul>
</main>
<script src="-/filter.js" defer></script>
</body>
</html>
"""


def file_url(filename: str) -> str:
    """A file's address, relative to its project's page."""
    return f"../../packages/{quote(filename)}"


def upload_time(entry: Entry) -> str:
    """When a file was uploaded, in the form that PEP 700 demands."""
    return entry.uploaded or time_of(entry.changed)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Files by version, the newest last, and by name."""
    return sorted(entries, key=lambda entry: (Version(entry.version), entry.filename))


def reason_of(entry: Entry, yanked: Mapping[str, str]) -> str | None:
    """Why a file's release was yanked, which may be empty; None if it was not. yanked: as in wheelhouse.pages.yanks."""
    return yanked.get(same_for_all_spellings(entry.version))


def human_size(size: int) -> str:
    """A number of bytes as people read it."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def project_json(project: str, entries: Iterable[Entry], yanked: Mapping[str, str]) -> bytes:
    """A project's page by PEP 691 and PEP 700.

    project: its normalised name; yanked: reasons by version, as in wheelhouse.pages.yanks.
    """
    files = []
    for entry in in_order(entries):
        file = {
            "filename": entry.filename,
            "url": file_url(entry.filename),
            "hashes": {"sha256": entry.sha256},
            "size": entry.size,
            "upload-time": upload_time(entry),
        }
        if entry.requires_python is not None:
            file["requires-python"] = entry.requires_python
        # Without its former name, dist-info-metadata: pip 22.3 to 23.1 fail at it in JSON (PEP 714), Debian 12's too.
        if entry.metadata_sha256 is not None:
            file["core-metadata"] = {"sha256": entry.metadata_sha256}
        if (reason := reason_of(entry, yanked)) is not None:
            file["yanked"] = reason or True
        files.append(file)
    versions = list(dict.fromkeys(entry.version for entry in in_order(entries)))
    page = {"meta": {"api-version": API_VERSION}, "name": project, "versions": versions, "files": files}
    return json.dumps(page, separators=(",", ":")).encode()


def root_json(projects: Iterable[str]) -> bytes:
    """The root list by PEP 691. projects: normalised names."""
    page = {"meta": {"api-version": API_VERSION}, "projects": [{"name": name} for name in sorted(projects)]}
    return json.dumps(page, separators=(",", ":")).encode()


def root_entry(project: str) -> bytes:
    """What root_json has of a project, and of no other."""
    return json.dumps({"name": project}, separators=(",", ":")).encode()


def anchor(entry: Entry, yanked: Mapping[str, str]) -> str:
    """A file's link, with all that PEP 503 and those after it hang onto it."""
    attributes = {"href": f"{file_url(entry.filename)}#sha256={entry.sha256}"}
    if entry.requires_python is not None:
        attributes["data-requires-python"] = entry.requires_python
    if entry.metadata_sha256 is not None:
        # And under its former name, for older clients (PEP 714).
        for name in ("data-core-metadata", "data-dist-info-metadata"):
            attributes[name] = f"sha256={entry.metadata_sha256}"
    if (reason := reason_of(entry, yanked)) is not None:
        attributes["data-yanked"] = reason
    text = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<a {text}>{escape(entry.filename)}</a>"


def project_html(project: str, entries: Iterable[Entry], yanked: Mapping[str, str]) -> bytes:
    """A project's page by PEP 503, which people can read as well: the newest version first."""
    rows = []
    for entry in reversed(in_order(entries)):
        note = ""
        if (reason := reason_of(entry, yanked)) is not None:
            note = f'<span class="yanked">yanked{": " if reason else ""}{escape(reason)}</span>'
        rows.append(
            f"<tr><td>{anchor(entry, yanked)} {note}</td><td>{escape(entry.version)}</td>"
            f'<td class="number">{human_size(entry.size)}</td>'
            f'<td><time datetime="{upload_time(entry)}">{upload_time(entry)[:16].replace("T", " ")}</time></td>'
            f"<td>{escape(entry.requires_python or '')}</td></tr>\n"
        )
    head = HEAD.format(version=API_VERSION, title=escape(project), style="../../-/style.css")
    return (
        f"{head}<body>\n<main>\n<h1>{escape(project)}</h1>\n<p><code>pip install {escape(project)}</code></p>\n"
        '<div class="wide"><table>\n<thead><tr><th>File</th><th>Version</th><th class="number">Size</th>'
        f"<th>Uploaded (UTC)</th><th>Python</th></tr></thead>\n<tbody>\n{''.join(rows)}</tbody>\n"
        "</table></div>\n</main>\n</body>\n</html>\n"
    ).encode()


def root_html(projects: Iterable[str]) -> bytes:
    """The root list by PEP 503."""
    head = HEAD.format(version=API_VERSION, title="Simple index", style="../-/style.css")
    # All names in one go: a call for each would take longer than all the rest.
    names = "\n".join(sorted(projects))
    both = zip(quote(names, safe="\n").splitlines(), escape(names).splitlines(), strict=True)
    links = "".join(f'<li><a href="{address}/">{name}</a></li>\n' for address, name in both)
    body = f'<h1>Simple index</h1>\n<ul class="projects">\n{links}</ul>\n'
    return f"{head}<body>\n<main>\n{body}</main>\n</body>\n</html>\n".encode()


def landing(newest: Mapping[str, str], url: str) -> bytes:
    """The page for people: what this is, how to use it, and the projects.

    newest: versions by project; url: the index's address, with a slash at its end.
    """
    rows = "".join(
        f'<li><a href="simple/{quote(name)}/">{escape(name)}</a> '
        f'<span class="version">{escape(newest[name])}</span></li>\n'
        for name in sorted(newest)
    )
    head = HEAD.format(version=API_VERSION, title="Private package index", style="-/style.css")
    count = f"{len(newest)} project{'' if len(newest) == 1 else 's'}"
    return LANDING.format(head=head, count=count, rows=rows, url=escape(url)).encode()
