"""The systemd units: commands, users, limits and sandboxes."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import ROOT, ansible_templates
from support.apache import APPLICATION, parse

UNITS = "templates/etc/systemd/system"
SERVICES = sorted(path.name.removesuffix(".j2") for path in (ROOT / UNITS).glob("pypi-*.service.j2"))
SANDBOX = f"{UNITS}/pypi-.service.d/sandbox.conf.j2"
# Settings that are lists: each line adds to them, and an empty one clears them (systemd.exec(5)).
LISTS = {"RestrictAddressFamilies", "InaccessiblePaths", "SystemCallFilter", "ReadWritePaths", "ExecStartPre"}
LISTS |= {"BindReadOnlyPaths"}
LISTS |= {"ExecStart", "ExecStartPost", "ExecReload", "Environment", "CapabilityBoundingSet", "AmbientCapabilities"}
LISTS |= {"IPAddressAllow", "IPAddressDeny"}
# The services with access to the network: the canary, which connects to Apache, and those that use the repository.
CANARY = "pypi-canary.service"
BACKUPS = ("pypi-backup.service", "pypi-backup-check.service")
NETWORK = (CANARY, *BACKUPS)

Unit = dict[str, dict[str, list[str]]]


def parse_unit(*templates: str, **changed: object) -> Unit:
    """Parse unit files and merge them in order, as systemd does."""
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


def drop_ins(name: str) -> list[str]:
    """Return the templates of a service's drop-ins in the order in which systemd reads them, after the unit file.

    Those of all directories are read by file name (systemd.unit(5)). Both services that use the repository have the
    same one.
    """
    directory = BACKUPS[0] if name in BACKUPS else name
    own = [str(path.relative_to(ROOT)) for path in (ROOT / UNITS).glob(f"{directory}.d/*.conf.j2")]
    return sorted([SANDBOX, *own], key=lambda path: path.rpartition("/")[2])


def service(name: str, **changed: object) -> dict[str, list[str]]:
    """Return the settings of a service."""
    return parse_unit(f"{UNITS}/{name}.j2", *drop_ins(name), **changed)["Service"]


def unit_only(name: str, **changed: object) -> dict[str, list[str]]:
    """Return the settings of a service's unit file without drop-ins."""
    return parse_unit(f"{UNITS}/{name}.j2", **changed)["Service"]


def test_all_services_are_found() -> None:
    """The list is read from the disk; the prefix of the drop-in covers all of them."""
    assert {"pypi-application.service", "pypi-application-proxy.service", "pypi-pages.service"} <= set(SERVICES)
    assert [path.name for path in (ROOT / UNITS).rglob("*.service.j2") if not path.name.startswith("pypi-")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_resources_are_limited(name: str) -> None:
    """Each service has limits for memory and tasks."""
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
def test_drop_in_keeps_settings_of_units(name: str, setting: str) -> None:
    """A unit's own value has priority over the drop-in."""
    assert (
        service(name, pypi_max_application_memory="3G")[setting]
        == unit_only(name, pypi_max_application_memory="3G")[setting]
    )


def test_application_has_configured_limits() -> None:
    """Memory is a setting; each thread is a task, and a graceful restart runs two processes temporarily."""
    found = unit_only("pypi-application.service", pypi_max_application_memory="3G", pypi_max_uploads=100)
    assert found["MemoryMax"] == ["3G"]
    (threads,) = parse(ansible_templates.render(APPLICATION, pypi_max_uploads=100)).values("ThreadsPerChild")
    assert int(threads) == 116
    assert int(found["TasksMax"][0]) > 2 * int(threads)
    assert unit_only("pypi-pages.service", pypi_max_application_memory="3G")["MemoryMax"] == ["3G"]


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_sandboxed(name: str) -> None:
    """Services have no network, privileges, devices or home directories. Backups need a network and may read files."""
    found = service(name)
    for setting in ("NoNewPrivileges", "PrivateDevices", "ProtectHome", "RestrictNamespaces"):
        assert found[setting] == ["yes"]
    assert found["PrivateNetwork"] == ["no" if name in NETWORK else "yes"]
    for setting in ("LockPersonality", "MemoryDenyWriteExecute", "ProtectKernelModules", "RestrictSUIDSGID"):
        assert found[setting] == ["yes"]
    assert found["ProtectSystem"][0] in ("full", "strict")
    assert found["CapabilityBoundingSet"] == (["CAP_DAC_READ_SEARCH"] if name in BACKUPS else [])
    assert found["AmbientCapabilities"] == []
    families = " ".join(found["RestrictAddressFamilies"]).split()
    assert set(families) <= {"AF_UNIX", "AF_INET"} | ({"AF_INET6"} if name in BACKUPS else set())
    assert ("AF_INET" in families) is (name.startswith("pypi-application") or name in NETWORK)


@pytest.mark.parametrize("name", SERVICES)
def test_services_cannot_create_symbolic_links(name: str) -> None:
    """Apache reads their files. io_uring would bypass the filter."""
    denied = {call for line in service(name)["SystemCallFilter"] if line.startswith("~") for call in line[1:].split()}
    assert {"symlink", "symlinkat", "io_uring_setup", "@privileged", "@resources"} <= denied
    assert service(name)["SystemCallErrorNumber"] == ["EPERM"]
    assert service(name)["SystemCallArchitectures"] == ["native"]


@pytest.mark.parametrize("name", ["pypi-application.service", "pypi-pages.service", "pypi-backup-copy.service"])
def test_secrets_are_inaccessible(name: str) -> None:
    """User pypi parses uploads, and can read neither password hashes nor the private key."""
    found = service(name, pypi_config_dir="/a/etc")
    assert found["User"] == ["pypi"]
    paths = " ".join(found["InaccessiblePaths"]).split()
    assert {"-/a/etc/tls", "-/a/etc/htpasswd", "-/run/pypi-passwords", "-/etc/apache2"} <= set(paths)


def test_canary_reaches_this_host_only() -> None:
    """The canary connects to Apache on 127.0.0.1; it can read neither data nor logs."""
    found = service(CANARY, pypi_data_dir="/a/data", pypi_config_dir="/a/etc", pypi_log_dir="/a/log")
    assert (found["IPAddressDeny"], found["IPAddressAllow"]) == (["any"], ["localhost"])
    assert "SupplementaryGroups" not in found
    assert {"-/a/etc/tls", "-/a/data", "-/a/log"} <= set(" ".join(found["InaccessiblePaths"]).split())


@pytest.mark.parametrize(
    ("changed", "authority"),
    [
        ({}, ["/etc/pypi/tls/ca.crt /run/pypi-canary/ca.crt"]),
        ({"pypi_tls": "provided"}, []),
        (
            {"pypi_tls": "provided", "pypi_tls_ca": "/c/ca.crt"},
            ["/etc/pypi/canary-ca.crt /run/pypi-canary/ca.crt"],
        ),
        ({"pypi_tls": "none"}, []),
    ],
    ids=str,
)
def test_canary_gets_its_credentials_from_its_unit(changed: dict, authority: list[str]) -> None:
    """Neither the command line nor a file that other users can read has the password."""
    found = service(CANARY, **changed)
    copies = ["/etc/pypi/canary.json /run/pypi-canary/login", *authority]
    assert found["ExecStartPre"] == [f"+/usr/bin/install -o pypi-monitoring -m 0400 {copy}" for copy in copies]
    assert (found["RuntimeDirectory"], found["RuntimeDirectoryMode"]) == (["pypi-canary"], ["0700"])
    settings = json.loads(ansible_templates.render("templates/etc/pypi/monitoring.json.j2", **changed))
    assert settings["canary"]["private_ca"] is bool(authority)


def test_exporter_can_use_nothing_of_its_groups_but_directories_and_logs() -> None:
    """Group www-data may also send requests to the application as any user, and read password hashes."""
    found = service("pypi-metrics.service", pypi_config_dir="/a/etc")
    assert found["SupplementaryGroups"] == ["adm www-data"]
    paths = set(" ".join(found["InaccessiblePaths"]).split())
    assert {"-/run/pypi-application.sock", "-/run/pypi-passwords", "-/a/etc/htpasswd", "-/a/etc/tls"} <= paths
    assert found["ProtectSystem"] == ["strict"]


@pytest.mark.parametrize("name", ["pypi-metrics", "pypi-canary"])
def test_monitoring_services_write_one_directory(name: str) -> None:
    """The units run the programs with the settings, and write to the directory that Apache and the programs use."""
    found = service(f"{name}.service", pypi_config_dir="/a/etc")
    (command,) = found["ExecStart"]
    interpreter, isolated, program, word, settings = command.split()
    assert (interpreter, isolated, settings) == ("/usr/bin/python3", "-I", "/a/etc/monitoring.json")
    assert word == name.removeprefix("pypi-")
    assert program == "/usr/local/lib/pypi/monitoring"
    assert found["User"] == ["pypi-monitoring"]
    directory = f"/var/lib/{found['StateDirectory'][0]}"
    written = json.loads(ansible_templates.render("templates/etc/pypi/monitoring.json.j2"))["directory"]
    assert written == directory
    assert found["Type"] == ["oneshot"]
    assert int(found["TimeoutStartSec"][0]) > 0


def test_monitoring_intervals_are_settings() -> None:
    """Timers run at the configured intervals."""
    changed = {"pypi_metrics_interval": 17, "pypi_canary_interval": 170}
    for name, seconds in (("pypi-metrics", "17s"), ("pypi-canary", "170s")):
        assert parse_unit(f"{UNITS}/{name}.timer.j2", **changed)["Timer"]["OnUnitInactiveSec"] == [seconds]


@pytest.mark.parametrize("name", ["pypi-application.service", "pypi-application-proxy.service"])
def test_services_need_their_network_namespace(name: str) -> None:
    """On the host's loopback, every local user could connect and forge the user name."""
    check, _ = unit_only(name)["ExecStartPre"]
    # Not preceded by "-": a failure keeps the service from starting.
    assert check.startswith("+/bin/sh")
    assert "/proc/self/ns/net" in check
    assert "/proc/1/ns/net" in check


def test_proxy_connects_to_application() -> None:
    """Only Apache can open the socket; the proxy connects to the port in the application's namespace."""
    proxy = parse_unit(f"{UNITS}/pypi-application-proxy.service.j2")
    assert proxy["Unit"]["JoinsNamespaceOf"] == ["pypi-application.service"]
    assert proxy["Service"]["DynamicUser"] == ["yes"]
    (listen,) = parse(ansible_templates.render(APPLICATION)).values("Listen")
    assert proxy["Service"]["ExecStart"][0].split()[-1] == listen
    socket = parse_unit(f"{UNITS}/pypi-application-proxy.socket.j2")["Socket"]
    access = {name: socket[name] for name in ("SocketUser", "SocketGroup", "SocketMode")}
    assert access == {"SocketUser": ["root"], "SocketGroup": ["www-data"], "SocketMode": ["0660"]}
    assert f"unix:{socket['ListenStream'][0]}|" in ansible_templates.render(
        "templates/etc/apache2/sites-available/pypi.conf.j2"
    )


def test_unit_runs_the_application() -> None:
    """The unit uses the kit's configuration, whose files are in directories that the unit creates."""
    found = unit_only("pypi-application.service", pypi_config_dir="/a/etc")
    assert found["ExecStart"] == ["/usr/sbin/apache2 -D FOREGROUND -f /a/etc/application.conf"]
    test, _, reload, _ = found["ExecReload"]
    assert test == "/usr/sbin/apache2 -t -f /a/etc/application.conf"
    assert "-USR1 $MAINPID" in reload
    (pid_file,) = parse(ansible_templates.render(APPLICATION)).values("PidFile")
    assert pid_file.startswith(f"/run/{found['RuntimeDirectory'][0]}/")
    assert found["RuntimeDirectoryMode"] == ["0700"]


@pytest.mark.parametrize("name", ["pypi-application.service", "pypi-application-proxy.service"])
def test_services_are_always_restarted(name: str) -> None:
    """Services restart without a limit, for example after the kernel has killed one for lack of memory."""
    unit = parse_unit(f"{UNITS}/{name}.j2")
    assert unit["Service"]["Restart"] == ["always"]
    assert unit["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_apache_starts_the_application() -> None:
    """Apache wants the application but does not require it: reads work without it."""
    unit = parse_unit(f"{UNITS}/apache2.service.d/pypi.conf.j2")
    assert set(unit["Unit"]["Wants"][0].split()) == {"pypi-application-proxy.socket", "pypi-application.service"}
    assert "Requires" not in unit["Unit"]
    assert unit["Unit"]["StartLimitIntervalSec"] == ["0"]
    assert (unit["Service"]["Restart"], unit["Service"]["RestartSec"]) == (["always"], ["1"])
    application = parse_unit(f"{UNITS}/pypi-application.service.j2")["Unit"]
    assert application["PartOf"] == ["apache2.service"]
    assert application["Before"] == ["apache2.service"]


def test_run_directories_equal_tmpfiles() -> None:
    """Tasks and tmpfiles.d create the same directories with the same modes and owners."""
    text = ansible_templates.render("templates/etc/tmpfiles.d/pypi.conf.j2")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    at_boot = {path: (int(mode, 8), user, group) for kind, path, mode, user, group in lines if kind == "d"}
    assert len(at_boot) == len(lines) == 2
    assert at_boot["/run/pypi-passwords"] == (0o700, "www-data", "www-data")
    assert at_boot["/run/pypi-early-responses"] == (0o2750, "pypi", "www-data")
    created = {}
    for path in ROOT.glob("roles/*/tasks/*.yml"):
        for task in ansible_templates.tasks(path):
            for found in task.get("pypi_files", {}).get("directories", []):
                if str(found["path"]).startswith("/run/"):
                    created[str(found["path"])] = (int(found["mode"], 8), found["owner"], found["group"])
    assert created == at_boot


@pytest.mark.parametrize(
    ("template", "reload"),
    [("apache2.service.d/pypi.conf.j2", "apachectl graceful"), ("pypi-application.service.j2", "kill -USR1 $MAINPID")],
)
def test_reload_commits_state_on_success(template: str, reload: str) -> None:
    """Digests are computed before the files are read, and stored afterwards: systemd stops at the first failure."""
    lines = parse_unit(f"{UNITS}/{template}")["Service"]["ExecReload"]
    before, (commit,) = lines[:-1], lines[-1:]
    assert reload in before[-1]
    assert not before[-1].startswith("-")
    assert re.fullmatch(r"-\+?/usr/local/sbin/pypi-state prepare \S+ reload", before[-2])
    assert re.fullmatch(r"-\+?/usr/local/sbin/pypi-state commit \S+", commit)


@pytest.mark.parametrize("name", BACKUPS)
def test_backup_writes_only_its_state_and_a_local_repository(name: str) -> None:
    """Everything else is read-only, so a defect of restic cannot change the index."""
    remote = service(name, pypi_backup_repository="s3:https://backup.example.com/bucket")
    assert remote["ProtectSystem"] == ["strict"]
    assert remote["ReadWritePaths"] == ["/var/lib/pypi/backup /var/cache/pypi-backup"]
    local = service(name, pypi_backup_repository="/mnt/backup/pypi")
    assert local["ReadWritePaths"] == ["/var/lib/pypi/backup /var/cache/pypi-backup -/mnt/backup/pypi"]
    unit = parse_unit(f"{UNITS}/{name}.j2", pypi_backup_repository="/mnt/backup/pypi")["Unit"]
    assert unit["RequiresMountsFor"] == ["/mnt/backup/pypi"]


def test_backup_has_uniform_paths() -> None:
    """The paths in a snapshot do not depend on the settings. Of the TLS directory, only the authority is included."""
    found = service("pypi-backup.service", pypi_data_dir="/a/data", pypi_config_dir="/a/etc")
    pairs = dict(line.removeprefix("-").split(":")[::-1] for line in found["BindReadOnlyPaths"])
    assert pairs == {
        "/run/pypi-backup/packages": "/a/data/packages",
        "/run/pypi-backup/copy": "/var/lib/pypi/backup/copy",
        "/run/pypi-backup/tls/ca.key": "/a/etc/tls/ca.key",
        "/run/pypi-backup/tls/ca.crt": "/a/etc/tls/ca.crt",
    }
    provided = service("pypi-backup.service", pypi_tls="provided")["BindReadOnlyPaths"]
    assert len(provided) == 2


def test_backup_secrets_are_not_in_units() -> None:
    """Every user can read unit files."""
    secret = {"pypi_backup_repository": "rest:https://u:sesame@host/x", "pypi_backup_password": "sesame"}
    secret |= {"pypi_backup_environment": {"AWS_SECRET_ACCESS_KEY": "sesame"}}
    units = [name for name in ansible_templates.TEMPLATES if name.startswith(UNITS)]
    assert [name for name in units if "sesame" in ansible_templates.render(name, **secret)] == []
    assert "sesame" in ansible_templates.render("templates/etc/pypi/backup/environment.j2", **secret)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("name", ["pypi-backup", "pypi-backup-check", "pypi-backup-copy"])
def test_systemd_accepts_backup_units(tmp_path: Path, name: str) -> None:
    """Units have no unknown options, and systemd rates the exposure of the sandbox at most 3.0."""
    given = {"pypi_backup_repository": "/mnt/backup"}
    unit = tmp_path / f"{name}.service"
    unit.write_text(ansible_templates.render(f"{UNITS}/{name}.service.j2", **given))
    (tmp_path / f"{name}.service.d").mkdir()
    for template in drop_ins(f"{name}.service"):
        path = tmp_path / f"{name}.service.d" / Path(template).name.removesuffix(".j2")
        path.write_text(ansible_templates.render(template))
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    faults = [line for line in done.stderr.splitlines() if str(tmp_path) in line and "is not executable" not in line]
    assert faults == []
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", f"{name}.service"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
