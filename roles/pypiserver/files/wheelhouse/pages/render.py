"""Renders the pages: projects and the list of projects as HTML (PEP 503, 592, 629, 658, 714) and JSON (PEP 691, 700).

The same input gives the same bytes.
"""

import json
from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import quote

from packaging.utils import canonicalize_version
from packaging.version import Version

from wheelhouse.pages.file_records import FileRecord
from wheelhouse.pages.upload_times import format_time

# The newest version of the API, in HTML (PEP 629) and JSON. All required fields are served: versions and sizes since
# 1.1 (PEP 700). The additions of 1.2 (PEP 708, tracks), 1.3 (PEP 740, provenance) and 1.4 (PEP 792, status) are
# optional: no project tracks another, attestations are rejected, and a project without a status is active.
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
<p>Our own Python packages, in addition to those on PyPI. Package managers use <code>{url}simple/</code>.</p>

<section class="how">
<details><summary>pip</summary>
<pre>pip config set global.index-url {url}simple/
pip install PROJECT</pre>
<p>Store your login in <code>~/.netrc</code>.</p></details>
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
    """Return the URL of a file, relative to the page of its project."""
    return f"../../packages/{quote(filename)}"


def upload_time(record: FileRecord) -> str:
    """Return the upload time of a file in the format of PEP 700."""
    return record.uploaded or format_time(record.changed)


def sorted_records(records: Iterable[FileRecord]) -> list[FileRecord]:
    """Sort files by version, the newest last, then by name."""
    return sorted(records, key=lambda record: (Version(record.version), record.filename))


def yank_reason(record: FileRecord, yanked: Mapping[str, str]) -> str | None:
    """Return why the release of a file was yanked (may be empty); None if it was not. yanked: reasons by version."""
    return yanked.get(canonicalize_version(record.version))


def human_size(size: int) -> str:
    """Return a number of bytes with a unit."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def project_json(project: str, records: Iterable[FileRecord], yanked: Mapping[str, str]) -> bytes:
    """Render the page of a project as JSON (PEP 691, PEP 700).

    project: its normalized name; yanked: reasons by version, as in wheelhouse.pages.yanks.
    """
    files: list[dict[str, object]] = []
    for record in sorted_records(records):
        file: dict[str, object] = {
            "filename": record.filename,
            "url": file_url(record.filename),
            "hashes": {"sha256": record.sha256},
            "size": record.size,
            "upload-time": upload_time(record),
        }
        if record.requires_python is not None:
            file["requires-python"] = record.requires_python
        # Not under its former name, dist-info-metadata: pip 22.3 to 23.1 (Debian 12) fail on it in JSON (PEP 714).
        if record.metadata_sha256 is not None:
            file["core-metadata"] = {"sha256": record.metadata_sha256}
        if (reason := yank_reason(record, yanked)) is not None:
            file["yanked"] = reason or True
        files.append(file)
    versions = list(dict.fromkeys(record.version for record in sorted_records(records)))
    page = {"meta": {"api-version": API_VERSION}, "name": project, "versions": versions, "files": files}
    return json.dumps(page, separators=(",", ":")).encode()


def root_json(projects: Iterable[str]) -> bytes:
    """Render the list of projects as JSON (PEP 691). projects: normalized names."""
    page = {"meta": {"api-version": API_VERSION}, "projects": [{"name": name} for name in sorted(projects)]}
    return json.dumps(page, separators=(",", ":")).encode()


def root_entry(project: str) -> bytes:
    """Return the bytes that root_json has for one project and for no other."""
    return json.dumps({"name": project}, separators=(",", ":")).encode()


def anchor(record: FileRecord, yanked: Mapping[str, str]) -> str:
    """Render the link to a file, with the data attributes of PEP 503, 592, 658 and 714."""
    attributes = {"href": f"{file_url(record.filename)}#sha256={record.sha256}"}
    if record.requires_python is not None:
        attributes["data-requires-python"] = record.requires_python
    if record.metadata_sha256 is not None:
        # Also under the former name, for older clients (PEP 714).
        for name in ("data-core-metadata", "data-dist-info-metadata"):
            attributes[name] = f"sha256={record.metadata_sha256}"
    if (reason := yank_reason(record, yanked)) is not None:
        attributes["data-yanked"] = reason
    text = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<a {text}>{escape(record.filename)}</a>"


def project_html(project: str, records: Iterable[FileRecord], yanked: Mapping[str, str]) -> bytes:
    """Render the page of a project as HTML (PEP 503), also for people: the newest version first."""
    rows = []
    for record in reversed(sorted_records(records)):
        note = ""
        if (reason := yank_reason(record, yanked)) is not None:
            note = f'<span class="yanked">yanked{": " if reason else ""}{escape(reason)}</span>'
        rows.append(
            f"<tr><td>{anchor(record, yanked)} {note}</td><td>{escape(record.version)}</td>"
            f'<td class="number">{human_size(record.size)}</td>'
            f'<td><time datetime="{upload_time(record)}">{upload_time(record)[:16].replace("T", " ")}</time></td>'
            f"<td>{escape(record.requires_python or '')}</td></tr>\n"
        )
    head = HEAD.format(version=API_VERSION, title=escape(project), style="../../-/style.css")
    return (
        f"{head}<body>\n<main>\n<h1>{escape(project)}</h1>\n<p><code>pip install {escape(project)}</code></p>\n"
        '<div class="wide"><table>\n<thead><tr><th>File</th><th>Version</th><th class="number">Size</th>'
        f"<th>Uploaded (UTC)</th><th>Python</th></tr></thead>\n<tbody>\n{''.join(rows)}</tbody>\n"
        "</table></div>\n</main>\n</body>\n</html>\n"
    ).encode()


def root_html(projects: Iterable[str]) -> bytes:
    """Render the list of projects as HTML (PEP 503). projects: normalized names."""
    head = HEAD.format(version=API_VERSION, title="Simple index", style="../-/style.css")
    # Escape all names in one call: a call for each name would take longer than everything else.
    names = "\n".join(sorted(projects))
    pairs = zip(quote(names, safe="\n").splitlines(), escape(names).splitlines(), strict=True)
    links = "".join(f'<li><a href="{address}/">{name}</a></li>\n' for address, name in pairs)
    body = f'<h1>Simple index</h1>\n<ul class="projects">\n{links}</ul>\n'
    return f"{head}<body>\n<main>\n{body}</main>\n</body>\n</html>\n".encode()


def landing(newest: Mapping[str, str], url: str) -> bytes:
    """Render the landing page: how to use the index, and its projects.

    newest: newest version by project; url: the URL of the index, which ends with a slash.
    """
    rows = "".join(
        f'<li><a href="simple/{quote(name)}/">{escape(name)}</a> '
        f'<span class="version">{escape(newest[name])}</span></li>\n'
        for name in sorted(newest)
    )
    head = HEAD.format(version=API_VERSION, title="Private package index", style="-/style.css")
    count = f"{len(newest)} project{'' if len(newest) == 1 else 's'}"
    return LANDING.format(head=head, count=count, rows=rows, url=escape(url)).encode()
