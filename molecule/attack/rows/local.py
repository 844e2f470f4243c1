"""Attacks by a local user of the server, and by a compromised application."""

import re
import uuid

from attack.result import Attack, Log, Result
from attack.target import Target

HOSTILE = "/tmp/hostile"  # noqa: S108  (an attacker's directory)
MODULES = ("json", "argparse", "pathlib", "sitecustomize", "usercustomize", "encodings", "os")
UNIT = "pypi-application"
SOCKET = "/run/pypi-application.sock"


# A local user.


def hostile_directory(target: Target) -> Result:
    """Run `wheelhouse` as root in a directory with an attacker's modules."""
    result = Result()
    for modules in (MODULES, ["wheelhouse"]):
        target.host.check_output(f"rm -rf {HOSTILE}; mkdir {HOSTILE}; chmod 777 {HOSTILE}")
        for module in modules:
            code = f"open('{HOSTILE}/ran-{module}', 'w').close()\n"
            target.put(target.host, f"{HOSTILE}/{module}.py", code.encode())
        for environment in ("", f"PYTHONPATH={HOSTILE} PYTHONSTARTUP={HOSTILE}/os.py PYTHONUSERBASE={HOSTILE} "):
            run_in_hostile_directory(target, result, environment)
    target.host.check_output(f"rm -rf {HOSTILE}")
    return result


def run_in_hostile_directory(target: Target, result: Result, environment: str) -> None:
    """Run `wheelhouse` in the hostile directory, and check which of its modules were imported."""
    run = target.host.run(f"cd {HOSTILE} && {environment}wheelhouse audit verify")
    ran = target.host.check_output(f"cd {HOSTILE}; ls | grep ran- || true").split()
    where = "with Python's variables" if environment else "from its directory"
    result.check(f"none of its modules is run {where}", not ran, " ".join(ran))
    output = (run.stdout + run.stderr).strip()[-60:]
    result.check(f"the command works {where}", run.rc == 0 and bool(output), output)
    target.host.check_output(f"rm -f {HOSTILE}/ran-*")


def shared_terminal(target: Target) -> Result:
    """Run `wheelhouse` as root in a terminal, with a secret in the environment."""
    result = Result()
    plan = {"command": "wheelhouse audit verify", "directory": "/root"}
    environment = {"SECRET_TOKEN": "x", "PYTHONSTARTUP": "/nowhere", "LD_LIBRARY_PATH": "/nowhere"}
    found = target.run(target.host, "terminal.py", plan | {"environment": environment})
    result.check("a process of user pypi runs", found["found"])
    result.check("it does not have root's terminal", not found["terminal"], ", ".join(found["terminal"]))
    result.check("it does not have root's environment", not found["environment"], ", ".join(found["environment"]))
    return result


def internal_sockets(target: Target) -> Result:
    """Connect to the application as user nobody, and read secret files."""
    result = Result()
    exists = target.host.run(f"test -S {SOCKET}").rc == 0
    result.check(f"{SOCKET} exists", exists)
    ports = [int(target.settings["pypi_http_port"]), int(target.settings["pypi_https_port"])]
    found = target.run(target.host, "reach.py", {"user": "nobody", "sockets": [SOCKET], "ports": ports})
    is_denied = found["sockets"][SOCKET] == "PermissionError"
    result.check("nobody is not permitted to connect to it", is_denied, found["sockets"][SOCKET])
    result.check("no other port of the host accepts a connection", not found["listeners"], found["listeners"])
    config, logs = target.settings["pypi_config_dir"], target.settings["pypi_log_dir"]
    paths = f"{config}/htpasswd {config}/tls/server.key {config}/settings.json {logs}/audit/audit.log {logs}/access.log"
    command = f"setpriv --reuid nobody --regid nogroup --clear-groups cat {paths} 2>/dev/null | wc -c"
    read = target.host.check_output(command)
    result.check("nobody cannot read password hashes, keys, settings or logs", read == "0", f"{read} bytes")
    return result


# The compromised application.


def application(target: Target, result: Result) -> int:
    """Return a process of the application, and check that it is a service of its own."""
    process = target.main_process(UNIT)
    result.check(f"{UNIT}.service runs", bool(process))
    # Without the service: the daemon process of mod_wsgi.
    old = "grep -ls '^(wsgi:pypi)' /proc/[0-9]*/cmdline | head -n 1 | cut -d / -f 3"
    return process or int(target.host.check_output(old) or 0)


def inspect(target: Target, result: Result) -> list[dict]:
    """List the resources of the processes of user pypi: see processes.py."""
    application(target, result)
    logs = target.settings["pypi_log_dir"]
    plan = {"key": f"{target.settings['pypi_config_dir']}/tls/server.key"}
    found = target.run(target.host, "processes.py", plan | {"logs": [f"{logs}/access.log", f"{logs}/error.log"]})
    result.check("there are processes of the application", bool(found), len(found))
    return found


def private_key(target: Target) -> Result:
    """Search the memory of all processes of user pypi for the TLS private key."""
    result = Result()
    found = {f"{one['name']}": one["key_copies"] for one in inspect(target, result)}
    measured = ", ".join(f"{count} in {name}" for name, count in found.items())
    result.check("no copy of the TLS private key", not any(found.values()), measured)
    return result


def log_descriptors(target: Target) -> Result:
    """List the descriptors with which processes of user pypi can write to Apache's logs."""
    result = Result()
    found = [f"{path} in {one['name']}" for one in inspect(target, result) for path in one["logs"]]
    result.check("no descriptor of Apache's logs", not found, f"{len(found)}: {'; '.join(found)[:120]}")
    return result


def privileges(target: Target) -> Result:
    """Check the privileges of the processes of user pypi."""
    result = Result()
    found = inspect(target, result)
    for name, is_met in {
        "NoNewPrivileges": lambda one: one["no_new_privileges"],
        "a system call filter": lambda one: one["seccomp"],
        "no capability": lambda one: one["capabilities"] == 0,
        "a network namespace of its own": lambda one: one["own_network"],
    }.items():
        missing = [one["name"] for one in found if not is_met(one)]
        result.check(f"every process has {name}", not missing, "; ".join(missing)[:100])
    return result


def exposure(target: Target) -> Result:
    """Check the exposure of each unit of the kit with systemd-analyze."""
    result = Result()
    # Templates (trailing @) cannot be analyzed without an instance.
    listed = target.host.check_output("systemctl list-unit-files --no-legend --no-pager 'pypi-*.service'")
    units = sorted({line.split()[0] for line in listed.splitlines() if "@." not in line} | {f"{UNIT}.service"})
    for unit in units:
        run = target.host.run(f"systemd-analyze security --no-pager {unit}")
        level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", run.stdout)
        result.check(f"{unit}: at most 3.0", bool(level) and float(level[1]) <= 3, level[1] if level else "no unit")
        shown = target.host.check_output(f"systemctl show --property MemoryMax,TasksMax {unit}")
        limits = dict(line.split("=", 1) for line in shown.splitlines())
        # TasksMax has a default that depends on the host.
        unit_file = target.host.run(f"systemctl cat {unit}").stdout
        is_limited = limits.get("MemoryMax", "infinity") != "infinity" and "\nTasksMax=" in unit_file
        result.check(f"{unit}: MemoryMax and TasksMax", is_limited, shown.replace("\n", " "))
    return result


def links(target: Target) -> Result:
    """As user pypi, create symbolic links to the password hashes wherever Apache serves files, and request them."""
    result = Result()
    mark = f"acme-link-{uuid.uuid4().hex[:8]}"
    secret = f"{target.settings['pypi_config_dir']}/htpasswd"
    data, pages = target.settings["pypi_data_dir"], target.settings["pypi_pages_dir"]
    file = f"{mark.replace('-', '_')}-1.0-py3-none-any.whl"
    served = {
        f"{data}/packages/{file}": f"/packages/{file}",
        f"{pages}/metadata/{file}.metadata": f"/packages/{file}.metadata",
    }
    for form in ("json", "json.gz", "html", "html.gz"):
        served[f"{pages}/projects/{mark}.{form}"] = f"/simple/{mark}/"
    as_pypi = "setpriv --reuid pypi --regid pypi --clear-groups"
    for path in served:
        target.host.check_output(f"{as_pypi} ln -s {secret} {path}")
    try:
        for url in sorted(set(served.values())):
            for accept in ("application/vnd.pypi.simple.v1+json", "text/html"):
                for encoding in ("gzip", "identity"):
                    headers = ("--header", f"Accept: {accept}", "--header", f"Accept-Encoding: {encoding}")
                    response = target.fetch(url, *headers, user="reader")
                    if response.status == 200 or "$2" in response.body:
                        result.check(f"{url} ({accept}, {encoding}) is not served", False, response.status)
        # A directory replaced by a link.
        target.host.check_output(
            f"{as_pypi} mv {pages}/projects {pages}/projects.real && {as_pypi} ln -s /etc {pages}/projects"
        )
        try:
            target.host.check_output(f"cp {secret} /etc/{mark}.json; chmod 644 /etc/{mark}.json")
            accept = "Accept: application/vnd.pypi.simple.v1+json"
            response = target.fetch(f"/simple/{mark}/", "--header", accept, user="reader")
            leaked = response.status == 200 or "$2" in response.body
            result.check("a linked directory is not served", not leaked, response.status)
        finally:
            target.host.check_output(f"rm {pages}/projects /etc/{mark}.json; mv {pages}/projects.real {pages}/projects")
    finally:
        for path in served:
            target.host.check_output(f"rm -f {path}")
    if not result.failures:
        result.check(f"{len(served)} links to htpasswd are not served", True)
    return result


def sandbox(target: Target) -> Result:
    """Read, write and connect inside the application's namespaces as user pypi."""
    result = Result()
    process = application(target, result)
    settings = target.settings
    config, logs, data = settings["pypi_config_dir"], settings["pypi_log_dir"], settings["pypi_data_dir"]
    own = target.host.check_output("hostname -i").split()[0]
    plan = {
        "read": [f"{config}/htpasswd", f"{config}/tls/server.key", f"{logs}/access.log", "/etc/shadow"],
        "write": [
            settings["pypi_program_dir"], f"{settings['pypi_program_dir']}/current/lib", config, logs, "/etc", "/run",
            "/usr/local/bin", "/home/admin", "/run/lock", f"{data}/packages",
        ],
        "connect": [["127.0.0.1", 443], [own, 443], ["127.0.0.11", 53]],
    }  # fmt: skip
    done = target.run(target.host, "sandbox.py", plan | {"process": process})
    result.check("it can write packages", f"{data}/packages" in done["write"])
    written = [path for path in done["write"] if path != f"{data}/packages"]
    result.check("it cannot read secrets or logs", not done["read"], " ".join(done["read"]))
    result.check("it cannot write anything else", not written, " ".join(written))
    result.check("it cannot connect to anything", not done["connect"], " ".join(done["connect"]))
    count = len(done["processes"])
    result.check("it does not see the processes of other users", not count, f"{count} seen")
    return result


ROWS = [
    Attack("F5", "local user", "hostile directory", "json.py, argparse.py where root calls wheelhouse",
           "none of it is run", hostile_directory, quick=True),
    Attack("F5", "local user", "shared terminal", "TIOCSTI and the environment of root's shell",
           "no terminal, clean environment", shared_terminal, quick=True),
    Attack("F6", "local user", "internal sockets", "the application's socket, ports, files, as nobody",
           "not permitted", internal_sockets, quick=True),
    Attack("F6", "compromised pypi", "TLS private key", "the memory of every process of user pypi",
           "no copy", private_key, quick=True),
    Attack("F6", "compromised pypi", "Apache's logs", "inherited descriptors", "none", log_descriptors, quick=True),
    Attack("F6", "compromised pypi", "privileges", "capabilities, system calls, network", "none", privileges,
           quick=True),
    Attack("F6", "compromised pypi", "sandbox", "read, write and connect inside the service",
           "only its own data", sandbox, quick=True),
    Attack("F6", "compromised pypi", "exposure", "systemd-analyze security of every unit",
           "at most 3.0, with MemoryMax and TasksMax", exposure, quick=True),
    Attack("F7", "compromised pypi", "symbolic links", "links to htpasswd in packages and pages",
           "not served", links, Log("access", r'acme.link.*" (403|404|503|302)'), quick=True),
]  # fmt: skip
