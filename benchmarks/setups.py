"""The set-ups, the measures, and the plans of a run."""

from dataclasses import dataclass

# pip's header; uv's is similar.
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
LOGIN = "bench:bench-password"


@dataclass(frozen=True)
class Setup:
    """One way to run a package index.

    unit: its systemd unit. login: user:password, if reads need one. upload: the path for uploads, if supported.
    json_as_file: JSON is at index.json, because the server does no content negotiation.
    """

    name: str
    label: str
    unit: str
    url: str
    index: str = "simple/"
    upload: str | None = None
    login: str = ""
    upload_login: str = ""
    json_as_file: bool = False


SETUPS = {
    setup.name: setup
    for setup in (
        Setup("kit", "this kit (TLS, login)", "apache2", "https://localhost/", upload="", login=LOGIN),
        Setup("bare", "Apache, bare files", "bench-bare", "http://127.0.0.1:8003/", json_as_file=True),
        Setup("bare-tls", "Apache, bare files, TLS", "bench-bare", "https://localhost:8443/", json_as_file=True),
        Setup("nginx", "nginx, bare files", "bench-nginx", "http://127.0.0.1:8004/", json_as_file=True),
        Setup("devpi", "devpi-server", "bench-devpi", "http://127.0.0.1:3141/", "bench/dev/+simple/", "bench/dev/"),
        Setup(
            "tutorial", "the usual tutorial", "bench-tutorial", "http://127.0.0.1:8001/", upload="", upload_login=LOGIN
        ),
    )
}

# Measures, by the name of their list of paths, with titles.
MEASURES = {
    "page": "project page, JSON",
    "page-html": "project page, HTML",
    "root": "root list, JSON",
    "file": "small file (1 kB)",
    "same": "project page, not modified (304)",
    "big": "50 MB file",
}


@dataclass(frozen=True)
class Plan:
    """The extent of a run. sizes: files in the index; main: the size with all measures.

    rounds, deploys, uploads, large are counts; seconds is the duration of one load; idle_timeout: maximum seconds to
    wait until the host is idle; memory: set-ups whose memory is measured; also: measures at the main size only; many:
    measures with 256 connections.
    """

    sizes: tuple[int, ...] = (100, 1_000, 10_000, 100_000)
    main: int = 10_000
    rounds: int = 3
    seconds: int = 3
    seconds_elsewhere: int = 2
    slow_seconds: int = 8
    slowest_seconds: int = 20
    deploys: int = 2
    kit_rounds: int = 3
    import_limit: int = 60
    idle_timeout: int = 60
    uploads: int = 10
    large: int = 5
    clients: int = 500
    users: tuple[int, ...] = (10, 1_000)
    memory: tuple[str, ...] = tuple(name for name in SETUPS if name != "bare-tls")
    also: tuple[str, ...] = ("page-html", "file", "same", "big")
    many: tuple[str, ...] = ("page", "file")


FULL = Plan()
QUICK = Plan(
    sizes=(1_000,),
    main=1_000,
    rounds=1,
    seconds=1,
    seconds_elsewhere=1,
    slow_seconds=2,
    slowest_seconds=2,
    deploys=0,
    kit_rounds=1,
    import_limit=30,
    idle_timeout=8,
    uploads=3,
    large=3,
    users=(10,),
    memory=("kit",),
    also=("big",),
    many=("page",),
)
