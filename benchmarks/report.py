"""Render the results of bench.py as Markdown and as a plot."""

import math
import statistics
from collections.abc import Callable
from typing import Any

from setups import MEASURES, SETUPS

COLOURS = {"kit": "#2f81f7", "bare": "#8b949e", "nginx": "#3fb950", "devpi": "#d29922", "tutorial": "#f85149"}
NOT_MEASURED = "not measured"


def number(value: float) -> str:
    """Format with three significant digits, and commas between thousands."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def spread(values: list[float], unit: str = "") -> str:
    """Format the median, with minimum and maximum if there are several values."""
    text = f"{number(statistics.median(values))}{unit}"
    if len(values) > 1:
        text += f" ({number(min(values))} - {number(max(values))})"
    return text


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table. All columns except the first are aligned to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


class Results:
    """The results of a run, with look-ups."""

    def __init__(self, data: dict[str, Any]):
        """Wrap results. data: as bench.py saves it."""
        self.data = data
        self.sizes = data["plan"]["sizes"]
        self.main = data["plan"]["main"]

    def loads(self, setup: str, measure: str, size: int, connections: int = 8) -> list[dict[str, Any]]:
        """Return all rounds of one load."""
        wanted = (setup, measure, size, connections)
        return [
            load
            for load in self.data["loads"]
            if (load["setup"], load["measure"], load["size"], load["connections"]) == wanted
        ]

    def rates(self, setup: str, measure: str, size: int, connections: int = 8) -> list[float]:
        """Return requests per second, or megabytes per second for the large file."""
        key, scale = ("bytes", 1e6) if measure == "big" else ("requests", 1)
        return [load[key] / scale / load["seconds"] for load in self.loads(setup, measure, size, connections)]

    def why(self, setup: str, size: int, measure: str = "", connections: int = 8) -> str:
        """Return the reason for a missing figure."""
        for failed in self.data["failed"]:
            if failed.get("size") != size:
                continue
            whole = failed["what"] == SETUPS[setup].label or (
                failed["what"] == "set-up" and failed.get("setup") == setup
            )
            this = (failed.get("setup"), failed.get("measure"), failed.get("connections")) == (
                setup,
                measure,
                connections,
            )
            if whole or this:
                return f"failed: {failed['why']}"
        return NOT_MEASURED

    def cell(self, setup: str, measure: str, size: int, connections: int = 8) -> str:
        """Return the rate of a load, or the reason for a missing one."""
        rates = self.rates(setup, measure, size, connections)
        return spread(rates) if rates else self.why(setup, size, measure, connections)

    def uploads(self, setup: str, size: int, what: str) -> list[float]:
        """Return the seconds of each upload."""
        return [
            seconds
            for upload in self.data["uploads"]
            if (upload["setup"], upload["size"]) == (setup, size)
            for seconds in upload[what]
        ]


def ratio(above: list[float], below: list[float]) -> float | None:
    """Return the ratio of the medians; None if one is missing."""
    if not above or not below or not statistics.median(below):
        return None
    return statistics.median(above) / statistics.median(below)


def target_rows(results: Results) -> list[tuple[str, float | None, str, Callable[[float], bool], str]]:
    """Return the targets: title, measured value, unit, function that tests a value, target as text."""
    least, most, main = min(results.sizes), max(results.sizes), results.main
    kit, data = results.data["kit"], results.data

    def page(name: str, size: int = main) -> list[float]:
        return results.rates(name, "page", size)

    def at_least(bound: float) -> tuple[Callable[[float], bool], str]:
        return (lambda value: value >= bound), f"at least {bound:,}"

    def at_most(bound: float, unit: str = "") -> tuple[Callable[[float], bool], str]:
        return (lambda value: value <= bound), f"at most {bound:,}{unit}"

    few, many = data["plan"]["users"][0], data["plan"]["users"][-1]
    small = [results.uploads("kit", size, "version") for size in (most, least)]
    new = [results.uploads("kit", size, "project") for size in (most, least)]
    accounts = [kit.get(f"accounts {count}, unchanged", []) for count in (many, few)]
    first = [kit.get(f"accounts {count}, first", []) for count in (many, few)]
    idle = data["memory"].get("kit", {}).get("idle_bytes")
    clients = [run["errors"] for run in data["clients"] if run["setup"] == "kit"]
    kit_page = f"project page, login + TLS, {main:,} files"
    big = [results.rates(name, "big", main) for name in ("kit", "bare-tls")]
    return [
        (
            f"{kit_page}: to Apache with static files without login or TLS",
            ratio(page("kit"), page("bare")),
            "",
            *at_least(0.5),
        ),
        ("the same to devpi", ratio(page("kit"), page("devpi")), "", *at_least(8)),
        ("the same to the usual tutorial", ratio(page("kit"), page("tutorial")), "", *at_least(1500)),
        (
            f"project page at {most:,} files to the same at {least:,}",
            ratio(page("kit", most), page("kit", least)),
            "",
            *at_least(0.9),
        ),
        ("50 MB file: to Apache with static files over TLS", ratio(*big), "", *at_least(0.9)),
        (f"upload of a small wheel at {most:,} files, to the same at {least:,}", ratio(*small), "", *at_most(1.5)),
        ("the same, of a new project", ratio(*new), "", *at_most(1.5)),
        (
            f"upload of 100 MB at {main:,} files, to dd with fsync and sha256sum of the same bytes",
            ratio(results.uploads("kit", main, "large"), results.uploads("kit", main, "disk")),
            "",
            *at_most(2),
        ),
        (
            "first deployment, to the shell script",
            ratio(kit.get("deploy", []), kit.get("shell", [])),
            "",
            *at_most(1.5),
        ),
        (
            "second run (no changes), to a play that only gathers facts",
            ratio(kit.get("second", []), kit.get("facts", [])),
            "",
            *at_most(8),
        ),
        (f"accounts run, {many:,} users to {few}, no changes", ratio(*accounts), "", *at_most(1.5)),
        (f"accounts run, {many:,} users to {few}, all new", ratio(*first), "", *at_most(1.5)),
        ("idle memory of Apache and Python (PSS)", idle and idle / 1e6, " MB", *at_most(80, " MB")),
        (
            f"errors of {data['plan']['clients']} concurrent clients",
            float(max(clients)) if clients else None,
            "",
            *at_most(0),
        ),
    ]


def targets(data: dict[str, Any]) -> str:
    """Return the table of targets."""
    rows = []
    for title, value, unit, reaches, bound in target_rows(Results(data)):
        measured = NOT_MEASURED if value is None else number(value) + unit
        rows.append([title, measured, bound, "" if value is None else "yes" if reaches(value) else "**no**"])
    return table(["", "measured", "target", "reached"], rows)


def reading(results: Results) -> str:
    """Return the table of request rates at the main size."""
    names = list(SETUPS)
    rows = []
    for measure, title in MEASURES.items():
        for connections in (8, 256):
            if any(results.loads(name, measure, results.main, connections) for name in names):
                unit = ", MB/s" if measure == "big" else ""
                cells = [results.cell(name, measure, results.main, connections) for name in names]
                rows.append([f"{title}, {connections} connections{unit}", *cells])
    return table(["", *(SETUPS[name].label for name in names)], rows)


def waiting(results: Results) -> str:
    """Return the table of latencies at the main size."""
    names = list(SETUPS)
    rows = []
    for measure, title in MEASURES.items():
        for connections in (8, 256):
            cells = []
            for name in names:
                loads = results.loads(name, measure, results.main, connections)
                median = [
                    number(statistics.median(load[key] for load in loads)) for key in ("p50_ms", "p99_ms") if loads
                ]
                cells.append(" / ".join(median) if loads else results.why(name, results.main, measure, connections))
            if any(cell[0].isdigit() for cell in cells):
                rows.append([f"{title}, {connections} connections", *cells])
    return table(["p50 / p99, ms", *(SETUPS[name].label for name in names)], rows)


def closing(results: Results) -> str:
    """Return the table of connections that servers closed under load, if any."""
    rows = []
    for load in results.data["loads"]:
        if load["closed"]:
            title = f"{MEASURES[load['measure']]}, {load['connections']} connections, {load['size']:,} files"
            rows.append([title, SETUPS[load["setup"]].label, str(load["closed"]), number(load["requests"])])
    if not rows:
        return ""
    head = ["", "set-up", "closed", "responses"]
    return "Connections that a server closed during a load, which were reopened:\n\n" + table(head, rows)


def by_size(results: Results, measure: str) -> str:
    """Return the table of request rates of one measure at each size."""
    names = [name for name in SETUPS if name != "bare-tls" and (measure == "page" or name != "tutorial")]
    rows = [[f"{size:,}", *(results.cell(name, measure, size) for name in names)] for size in results.sizes]
    return table(["files in the index", *(SETUPS[name].label for name in names)], rows)


def uploading(results: Results) -> str:
    """Return the table of upload durations."""
    titles = {"version": "a new version", "project": "a new project", "large": "100 MB", "disk": "(disk alone)"}
    rows = []
    for size in results.sizes:
        for name in SETUPS:
            if SETUPS[name].upload is not None:
                seconds = [results.uploads(name, size, what) for what in titles]
                if any(seconds):
                    rows.append([f"{size:,} files, {SETUPS[name].label}"] + [spread(s) if s else "" for s in seconds])
    return table(["seconds", *titles.values()], rows)


def installing(results: Results) -> str:
    """Return the table of cold installs, concurrent clients and memory."""
    rows = []
    for name, setup in SETUPS.items():
        cells = []
        for client in ("pip", "uv"):
            seconds = [
                run["seconds"] for run in results.data["installs"] if (run["setup"], run["client"]) == (name, client)
            ]
            why = [
                f"failed: {failed['why']}"
                for failed in results.data["failed"]
                if failed.get("setup") == name and failed["what"] == f"cold install with {client}"
            ]
            cells.append(spread(seconds) if seconds else why[0] if why else NOT_MEASURED)
        runs = [run for run in results.data["clients"] if run["setup"] == name]
        cells.append(spread([run["seconds"] for run in runs]) if runs else NOT_MEASURED)
        cells.append(str(max(run["errors"] for run in runs)) if runs else "")
        memory = results.data["memory"].get(name)
        cells += [number(memory[key] / 1e6) if memory else NOT_MEASURED for key in ("idle_bytes", "loaded_bytes")]
        if name != "bare-tls":
            rows.append([setup.label, *cells])
    clients = results.data["plan"]["clients"]
    head = ["", "pip, s", "uv, s", f"{clients} clients, s", "their errors", "memory idle, MB", "loaded, MB"]
    return table(head, rows)


def own(results: Results) -> str:
    """Return the table of the kit's runs."""
    titles = {
        "deploy": "first deployment",
        "shell": "the same steps by a shell script (`benchmarks/shell_deploy.sh`)",
        "second": "second run, no changes",
        "facts": "a play that only gathers facts",
    }
    for count in results.data["plan"]["users"]:
        titles[f"accounts {count}, first"] = f"accounts run, {count:,} users, all new"
        titles[f"accounts {count}, unchanged"] = f"accounts run, {count:,} users, no changes"
    kit = results.data["kit"]
    return table(
        ["", "seconds"], [[title, spread(kit[key]) if key in kit else NOT_MEASURED] for key, title in titles.items()]
    )


def plot(results: Results) -> str:
    """Return an SVG plot of project page requests per second over the size of the index, both logarithmic."""
    width, height, left, right, top, bottom = 760, 420, 70, 190, 30, 50
    lines = {}
    for name in COLOURS:
        rates = [(size, results.rates(name, "page", size)) for size in results.sizes]
        lines[name] = [(size, statistics.median(values), min(values), max(values)) for size, values in rates if values]
    every = [rate for points in lines.values() for _size, *rates in points for rate in rates if rate > 0] or [1]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    first, last = math.log10(min(results.sizes)), math.log10(max(results.sizes))

    def x(size: float) -> float:
        return left + (width - left - right) * (math.log10(size) - first) / ((last - first) or 1)

    def y(rate: float) -> float:
        return height - bottom - (height - top - bottom) * (math.log10(max(rate, 10**low)) - low) / ((high - low) or 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="sans-serif"'
        ' font-size="13">',
        "<title>Requests per second of a project page over the number of files in the index</title>",
        "<style>text { fill: #57606a } .grid { stroke: #8b949e; stroke-opacity: .35 }"
        " @media (prefers-color-scheme: dark) { text { fill: #b1bac4 } }</style>",
    ]
    for power in range(low, high + 1):
        at = y(10**power)
        label = f"{10**power:,}" if power >= 0 else f"{10**power:g}"
        parts.append(f'<path class="grid" d="M{left} {at:.1f}H{width - right}"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    for size in results.sizes:
        parts.append(f'<path class="grid" d="M{x(size):.1f} {top}V{height - bottom}"/>')
        parts.append(f'<text x="{x(size):.1f}" y="{height - bottom + 20}" text-anchor="middle">{size:,}</text>')
    middle = left + (width - left - right) / 2
    parts.append(f'<text x="{middle:.1f}" y="{height - 8}" text-anchor="middle">files in the index</text>')
    parts.append(f'<text x="{left}" y="16">project pages per second, 8 connections</text>')
    ends: list[tuple[float, float, str]] = []
    for name, points in lines.items():
        if not points:
            continue
        colour, thick = COLOURS[name], 3 if name == "kit" else 2
        path = "M" + "L".join(f"{x(size):.1f} {y(rate):.1f}" for size, rate, _low, _high in points)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{thick}"/>')
        for size, rate, lowest, highest in points:
            span = f"M{x(size):.1f} {y(lowest):.1f}V{y(highest):.1f}"
            parts.append(f'<path d="{span}" stroke="{colour}" stroke-width="1"/>')
            parts.append(f'<circle cx="{x(size):.1f}" cy="{y(rate):.1f}" r="4" fill="{colour}"/>')
        ends.append((y(points[-1][1]), x(points[-1][0]), name))
    # Labels are at the ends of their lines, without overlap.
    below = -math.inf
    for end, along, name in sorted(ends):
        below = max(end, below + 17)
        text = SETUPS[name].label
        weight = ' font-weight="bold"' if name == "kit" else ""
        parts.append(
            f'<text x="{along + 10:.1f}" y="{below + 4:.1f}" style="fill: {COLOURS[name]}"{weight}>{text}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def failures(results: Results) -> str:
    """Return the list of failures without duplicates."""
    lines: dict[str, None] = {}
    for failed in results.data["failed"]:
        where = SETUPS[failed["setup"]].label + ": " if "setup" in failed else ""
        size = f", {failed['size']:,} files" if "size" in failed else ""
        lines[f"- {where}{failed['what']}{size}: failed: {failed['why']}\n"] = None
    return "".join(lines) or "No failures.\n"


def render(data: dict[str, Any]) -> tuple[str, str]:
    """Return the report and its plot."""
    results = Results(data)
    plan, machine = data["plan"], data["machine"]
    pages = {probe["setup"]: probe["page_bytes"] for probe in data["probes"] if probe["size"] == results.main}
    page_sizes = ", ".join(f"{SETUPS[name].label} {count:,}" for name, count in pages.items())
    fills = "".join(
        f"- {fill['size']:,} files: `wheelhouse rebuild` {number(fill['rebuild_seconds'])} s, devpi-server's import "
        + (f"{number(fill['import_seconds'])} s\n" if "import_seconds" in fill else f"failed: {fill['failed']}\n")
        for fill in data["fills"]
    )
    minutes = f"{data['seconds'] / 60:.0f} minutes" if "seconds" in data else "unfinished"
    text = f"""# Performance

Written by `make bench` on {data["date"]} ({minutes}); do not edit.

Machine: {machine["cores"]} cores ({machine["processor"]}), {machine["memory_bytes"] / 2**30:.0f} GiB of memory.
Servers and clients run in one container, which is idle before the reads and the uploads of each size. The ratios matter
more than the absolute figures, which depend on the machine.

Versions: {", ".join(data["versions"])}.

## Targets

{targets(data)}
Ratios are of medians.

![Project pages per second over the size of the index](performance.svg)

## Project page by size of the index

Requests per second, 8 connections: median, with minimum and maximum of the rounds.

{by_size(results, "page")}
## Root list by size of the index

{by_size(results, "root")}
## All measures at {results.main:,} files

Requests per second (of the 50 MB file: MB/s).

{reading(results)}
{waiting(results)}
{closing(results)}
## Installs and memory

A cold install installs a tree of 30 projects into an empty directory, without a cache, at {results.main:,} files.

{plan["clients"]} concurrent clients: each opens a connection at the same moment (with TLS and login if the set-up has
them), gets a project page as pip does, the metadata of its newest file if the set-up has metadata files, and that file,
and verifies its SHA-256. A connection that the server closes between two requests is reopened, as by pip and uv. The
kit's Apache was restarted before, so its password cache was cold.

Memory is the sum (PSS) over all processes of Apache, Python and nginx on the host, with one set-up running at a time:
idle after a page and an upload, and the maximum with 256 connections.

{installing(results)}
## Uploading

Each upload uses a new connection; the time is from connecting to the response. Disk alone: `dd` with fsync, and
`sha256sum`, of the same 100 MB.

{uploading(results)}
## The kit's own runs

First deployments are on fresh hosts, alternating kit and script, and include all downloads; the script gets rendered
files. The users of the accounts runs have a `password_hash`.

{own(results)}
## Filling

{fills}
## How it was measured

One test host (a Debian 13 container) runs all set-ups, each on its own port. They were measured alternately, in
rounds, with `wrk` (2 threads) on the same host: {plan["rounds"]} rounds of {plan["seconds"]} s at {results.main:,}
files, of {plan["seconds_elsewhere"]} s at other sizes. Loads of 256 connections have a warm-up of 2 s.

- Requests are for up to 1,000 projects and have pip's headers (`Accept`, `Accept-Encoding: gzip, deflate`); for
  HTML, `Accept: text/html`. Each project has 10 files; each index also has the tree of 30 projects and the 50 MB
  file.
- The static servers serve the pages of the kit, uncompressed, with JSON under a file name of its own.
- The kit: the real `site.yml`, TLS 1.3, a login with each request, bcrypt cost 12.
- devpi-server: no TLS, no login, filled by its own import with hard links.
- The tutorial: mod_wsgi and pypiserver, default backend, 1 process and 5 threads as in its documentation, no TLS,
  no login for reads. It has HTML only, which is measured here as "JSON".
- Size of a page in bytes, as sent: {page_sizes}.

Not measured, because the results would be redundant or take too long: of the tutorial, 256 connections, 304 (not
supported), other sizes of its root list, {plan["clients"]} clients; all measures except its project page
are from one round of {plan["slow_seconds"]} s, and the page above {results.main:,}
files from one of {plan["slowest_seconds"]} s. Uploads of 100 MB at other sizes than {results.main:,} files. Users with
plain-text passwords, whose first run needs one bcrypt hash each.

## Failures

{failures(results)}
## Commands

    make bench
    make bench QUICK=1      # fewer measurements, in 3 minutes; does not change this file
    make bench RENDER=1     # render this file again, from .cache/bench/full.json
"""
    return text, plot(results)
