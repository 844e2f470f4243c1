"""What is measured side by side, and how much of it."""

from dataclasses import dataclass

# What pip sends; uv's is much the same.
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
LOGIN = "bench:bench-password"


@dataclass(frozen=True)
class Setup:
    """One way to run a package index.

    unit: what systemd calls it. login: as user:password, where reading needs one. upload: the path for it, where there
    is a way. json_as_file: JSON lies at index.json, since nothing looks at the Accept header.
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

# What is asked for, by the name of its list of paths: title, Accept header or none for pip's.
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
    """How much is measured. sizes: files in the index; main: the size at which everything is.

    rounds, deploys, uploads, large are counts; seconds are those of one load; rest: for how many seconds the machine
    may come to rest before a measure; memory: the set-ups whose memory is looked at; also: what is asked for at the
    main size alone; many: what is asked for with 256 connections.
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
    rest: int = 60
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
    rest=8,
    uploads=3,
    large=3,
    users=(10,),
    memory=("kit",),
    also=("big",),
    many=("page",),
)
