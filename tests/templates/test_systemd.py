"""The units of systemd: what they run, as whom, and what they are kept from."""

import re

import pytest
from support import ROOT, ansible_templates
from support.apache import APPLICATION, parse

UNITS = "templates/etc/systemd/system"
SERVICES = sorted(path.name.removesuffix(".j2") for path in (ROOT / UNITS).glob("pypi-*.service.j2"))
SANDBOX = f"{UNITS}/pypi-.service.d/sandbox.conf.j2"
# Settings that are lists: each line adds to them, and an empty one clears them (systemd.exec(5)).
LISTS = {"RestrictAddressFamilies", "InaccessiblePaths", "SystemCallFilter", "ReadWritePaths", "ExecStartPre"}
LISTS |= {"ExecStart", "ExecStartPost", "ExecReload", "Environment", "CapabilityBoundingSet", "AmbientCapabilities"}

Unit = dict[str, dict[str, list[str]]]


def read(*templates: str, **changed: object) -> Unit:
    """Read unit files, each of which is merged into the ones before it, as systemd does."""
    unit: Unit = {}
    for template in templates:
        section = ""
        for line in ansible_templates.render(template, **changed).splitlines():
            if heading := re.fullmatch(r"\[(\w+)\]", line):
                section = heading[1]
            elif line and not line.startswith("#"):
                name, _, value = line.partition("=")
                values = unit.setdefault(section, {}).setdefault(name, [])
                if name not in LISTS or not value:
                    values.clear()
                values += [value] if value else []
    return unit


def service(name: str, **changed: object) -> dict[str, list[str]]:
    """Return the settings of a service. Drop-ins are read after the unit file itself (systemd.unit(5))."""
    return read(f"{UNITS}/{name}.j2", SANDBOX, **changed)["Service"]


def alone(name: str, **changed: object) -> dict[str, list[str]]:
    """Return what the file of a service says itself."""
    return read(f"{UNITS}/{name}.j2", **changed)["Service"]


def test_all_services_are_found() -> None:
    """The list comes from the disk; the prefix of the drop-in covers all of them."""
    assert {"pypi-application.service", "pypi-application-proxy.service", "pypi-pages.service"} <= set(SERVICES)
    assert [path.name for path in (ROOT / UNITS).rglob("*.service.j2") if not path.name.startswith("pypi-")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_resources_are_limited(name: str) -> None:
    """No service of the kit can take all memory or all processes of the server."""
    found = service(name)
    (memory,), (tasks,) = found["MemoryMax"], found["TasksMax"]
    assert re.fullmatch(r"[1-9][0-9]*[MG]", memory)
    assert re.fullmatch(r"[1-9][0-9]*", tasks)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("pypi-application.service", "MemoryMax"),
        ("pypi-application.service", "TasksMax"),
        ("pypi-application-proxy.service", "MemoryMax"),
        ("pypi-application-proxy.service", "TasksMax"),
        ("pypi-certificate.service", "ProtectSystem"),
        ("pypi-pages.service", "MemoryMax"),
    ],
)
def test_drop_in_keeps_what_units_set(name: str, setting: str) -> None:
    """A unit's own value is the one that is in force, whatever the order of reading."""
    assert (
        service(name, pypi_max_application_memory="3G")[setting]
        == alone(name, pypi_max_application_memory="3G")[setting]
    )


def test_application_may_use_what_the_settings_say() -> None:
    """Memory is a setting; each thread is a task, and a graceful restart runs two processes for a while."""
    found = alone("pypi-application.service", pypi_max_application_memory="3G", pypi_max_uploads=100)
    assert found["MemoryMax"] == ["3G"]
    (threads,) = parse(ansible_templates.render(APPLICATION, pypi_max_uploads=100)).values("ThreadsPerChild")
    assert int(threads) == 116
    assert int(found["TasksMax"][0]) > 2 * int(threads)
    assert alone("pypi-pages.service", pypi_max_application_memory="3G")["MemoryMax"] == ["3G"]


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_sandboxed(name: str) -> None:
    """No network, no privileges, no devices, and no home directories."""
    found = service(name)
    for setting in ("NoNewPrivileges", "PrivateDevices", "PrivateNetwork", "ProtectHome", "RestrictNamespaces"):
        assert found[setting] == ["yes"]
    for setting in ("LockPersonality", "MemoryDenyWriteExecute", "ProtectKernelModules", "RestrictSUIDSGID"):
        assert found[setting] == ["yes"]
    assert found["ProtectSystem"][0] in ("full", "strict")
    assert (found["CapabilityBoundingSet"], found["AmbientCapabilities"]) == ([], [])
    families = " ".join(found["RestrictAddressFamilies"]).split()
    assert set(families) <= {"AF_UNIX", "AF_INET"}
    assert ("AF_INET" in families) is name.startswith("pypi-application")


@pytest.mark.parametrize("name", SERVICES)
def test_services_make_no_symbolic_links(name: str) -> None:
    """Apache reads what they write. io_uring would make links past the filter."""
    denied = {call for line in service(name)["SystemCallFilter"] if line.startswith("~") for call in line[1:].split()}
    assert {"symlink", "symlinkat", "io_uring_setup", "@privileged", "@resources"} <= denied
    assert service(name)["SystemCallErrorNumber"] == ["EPERM"]
    assert service(name)["SystemCallArchitectures"] == ["native"]


@pytest.mark.parametrize("name", ["pypi-application.service", "pypi-pages.service"])
def test_secrets_are_out_of_reach(name: str) -> None:
    """What parses uploads runs as pypi, and sees neither password hashes nor the private key."""
    found = service(name, pypi_config_dir="/a/etc")
    assert found["User"] == ["pypi"]
    paths = " ".join(found["InaccessiblePaths"]).split()
    assert {"-/a/etc/tls", "-/a/etc/htpasswd", "-/run/pypi-passwords", "-/etc/apache2"} <= set(paths)


@pytest.mark.parametrize("name", ["pypi-application.service", "pypi-application-proxy.service"])
def test_services_do_not_start_without_their_network_namespace(name: str) -> None:
    """On the server's own loopback every local user could connect, and claim to be anybody."""
    check, _ = alone(name)["ExecStartPre"]
    # Not preceded by "-": a failure keeps the service from starting.
    assert check.startswith("+/bin/sh")
    assert "/proc/self/ns/net" in check
    assert "/proc/1/ns/net" in check


def test_proxy_leads_to_the_application() -> None:
    """From the socket that only Apache may open, into the application's namespace, to its port."""
    proxy = read(f"{UNITS}/pypi-application-proxy.service.j2")
    assert proxy["Unit"]["JoinsNamespaceOf"] == ["pypi-application.service"]
    assert proxy["Service"]["DynamicUser"] == ["yes"]
    (listen,) = parse(ansible_templates.render(APPLICATION)).values("Listen")
    assert proxy["Service"]["ExecStart"][0].split()[-1] == listen
    socket = read(f"{UNITS}/pypi-application-proxy.socket.j2")["Socket"]
    access = {name: socket[name] for name in ("SocketUser", "SocketGroup", "SocketMode")}
    assert access == {"SocketUser": ["root"], "SocketGroup": ["www-data"], "SocketMode": ["0660"]}
    assert f"unix:{socket['ListenStream'][0]}|" in ansible_templates.render(
        "templates/etc/apache2/sites-available/pypi.conf.j2"
    )


def test_application_is_run_by_its_unit() -> None:
    """The unit runs the configuration that the kit writes, which names files where the unit makes directories."""
    found = alone("pypi-application.service", pypi_config_dir="/a/etc")
    assert found["ExecStart"] == ["/usr/sbin/apache2 -D FOREGROUND -f /a/etc/application.conf"]
    test, _, reload, _ = found["ExecReload"]
    assert test == "/usr/sbin/apache2 -t -f /a/etc/application.conf"
    assert "-USR1 $MAINPID" in reload
    (pid_file,) = parse(ansible_templates.render(APPLICATION)).values("PidFile")
    assert pid_file.startswith(f"/run/{found['RuntimeDirectory'][0]}/")
    assert found["RuntimeDirectoryMode"] == ["0700"]


@pytest.mark.parametrize("name", ["pypi-application.service", "pypi-application-proxy.service"])
def test_services_are_restarted_however_often_they_end(name: str) -> None:
    """Nobody has to come when the kernel has ended one for its memory."""
    unit = read(f"{UNITS}/{name}.j2")
    assert unit["Service"]["Restart"] == ["always"]
    assert unit["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_apache_starts_the_application() -> None:
    """Apache wants the application and does not need it: installs go on without it."""
    unit = read(f"{UNITS}/apache2.service.d/pypi.conf.j2")
    assert set(unit["Unit"]["Wants"][0].split()) == {"pypi-application-proxy.socket", "pypi-application.service"}
    assert "Requires" not in unit["Unit"]
    assert unit["Unit"]["StartLimitIntervalSec"] == ["0"]
    assert (unit["Service"]["Restart"], unit["Service"]["RestartSec"]) == (["always"], ["1"])
    application = read(f"{UNITS}/pypi-application.service.j2")["Unit"]
    assert application["PartOf"] == ["apache2.service"]
    assert application["Before"] == ["apache2.service"]


def test_directories_in_run_are_the_same_after_a_boot() -> None:
    """The tasks make them now and tmpfiles.d makes them at each boot: path, mode and owner agree."""
    text = ansible_templates.render("templates/etc/tmpfiles.d/pypi.conf.j2")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    at_boot = {path: (int(mode, 8), user, group) for kind, path, mode, user, group in lines if kind == "d"}
    assert len(at_boot) == len(lines) == 2
    assert at_boot["/run/pypi-passwords"] == (0o700, "www-data", "www-data")
    assert at_boot["/run/pypi-answers"] == (0o2750, "pypi", "www-data")
    by_tasks = {}
    for path in ROOT.glob("roles/*/tasks/*.yml"):
        for task in ansible_templates.tasks(path):
            for found in task.get("pypi_files", {}).get("directories", []):
                if str(found["path"]).startswith("/run/"):
                    by_tasks[str(found["path"])] = (int(found["mode"], 8), found["owner"], found["group"])
    assert by_tasks == at_boot


@pytest.mark.parametrize(
    ("template", "reload"),
    [("apache2.service.d/pypi.conf.j2", "apachectl graceful"), ("pypi-application.service.j2", "kill -USR1 $MAINPID")],
)
def test_reloads_count_when_they_have_worked(template: str, reload: str) -> None:
    """The digests are computed before the files are read, and kept after that: systemd stops at the first failure."""
    lines = read(f"{UNITS}/{template}")["Service"]["ExecReload"]
    before, (commit,) = lines[:-1], lines[-1:]
    assert reload in before[-1]
    assert not before[-1].startswith("-")
    assert re.fullmatch(r"-\+?/usr/local/sbin/pypi-state prepare \S+ reload", before[-2])
    assert re.fullmatch(r"-\+?/usr/local/sbin/pypi-state commit \S+", commit)
