"""Every template, rendered by Ansible with many settings. Undefined variables are errors."""

import ast
import configparser
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest
from support import ROOT, ansible_templates, named
from wheelhouse.config import AdmissionLimits, Settings
from wheelhouse.pages import yanks
from wheelhouse_monitoring.settings import Settings as MonitoringSettings

USERS = [
    {"name": "bob", "groups": ["publishers"], "password": "sentinel"},
    {"name": "alice", "groups": ["publishers", "admins"]},
    {"name": "carol", "groups": []},
    {"name": "dave"},
    {"name": "erin", "groups": ["admins"], "state": "absent"},
    {"name": "frank", "state": "present", "password_hash": "$2y$12$sentinel"},
]
RIGHTS = [
    {"groups": ["admins"], "may": ["upload", "remove"], "projects": ["*"]},
    {"users": ["bob", "dave"], "groups": ["publishers"], "may": ["upload"], "projects": ["acme-*", "foo"]},
]

# Settings that differ from the defaults, by purpose.
VARIANTS = {
    "the defaults": {},
    "the shipped inventory": ansible_templates.sample(),
    "users and groups": {"pypi_users": USERS, "pypi_rights": RIGHTS},
    "provided": {"pypi_tls": "provided", "pypi_tls_certificate": "/c/a.crt", "pypi_tls_private_key": "/c/a.key"},
    "no TLS": {"pypi_tls": "none", "pypi_http_port": 8080},
    "other ports": {"pypi_http_port": 8080, "pypi_https_port": 8443},
    "numbers as text": {"pypi_http_port": "8080", "pypi_https_port": "8443", "pypi_hsts_max_age": "60"},
    "aliases": {"pypi_server_aliases": ["packages.example.com", "wheels.example.com"]},
    "anyone": {"pypi_read": "anyone"},
    "read by groups": {"pypi_read": ["admins", "publishers"], "pypi_users": USERS},
    "networks": {"pypi_allowed_networks": ["10.0.0.0/8", "2001:db8::/32"]},
    "health networks": {"pypi_allowed_networks": ["10.0.0.0/8"], "pypi_health_networks": ["192.0.2.9", "::1"]},
    "networks or login": {"pypi_allowed_networks": ["10.0.0.0/8"], "pypi_access": "any"},
    "networks, anyone": {"pypi_allowed_networks": ["10.0.0.0/8"], "pypi_read": "anyone"},
    "monitoring": {"pypi_monitoring": True, "pypi_allowed_networks": ["10.0.0.0/8"], "pypi_max_total_size": "5T"},
    "metrics networks": {"pypi_monitoring": "true", "pypi_metrics_networks": ["203.0.113.9", "2001:db8::/32"]},
    "proxies": {"pypi_trusted_proxies": ["192.0.2.1", "2001:db8::1"]},
    "hsts": {"pypi_hsts_max_age": 31536000},
    "directives": {"pypi_apache_directives": "Header set X-One 1\nHeader set X-Two 2"},
    "a mount": {"pypi_data_is_mount": True},
    "another index": {"pypi_install_index": "https://u:p@mirror.example.com/simple/", "pypi_install_ca": "/c/ca.crt"},
    "a folder": {"pypi_install_folder": "/c/wheels"},
    "upstream": {"pypi_upstream": "redirect", "pypi_private_names": ["acme-*", "f?o"]},
    "another upstream": {"pypi_upstream": "redirect", "pypi_upstream_url": "https://m.example/simple/"},
    "yanked": {"pypi_yanked": [{"project": "foo", "version": "1.0", "reason": "r"}, {"project": "a", "version": "1"}]},
    "limits": {"pypi_max_total_size": "500G", "pypi_min_free_space": "0", "pypi_new_projects": "first_uploader"},
    "expiring users": {"pypi_users": [{"name": "alice", "expires": "2027-01-01"}]},
    "uploads": {"pypi_max_uploads": "7", "pypi_upload_min_rate": "1", "pypi_max_application_memory": "300M"},
    "backups": {"pypi_backup_repository": "/mnt/backup", "pypi_backup_password": "x"},
    "backups by SFTP": {"pypi_backup_repository": "sftp://u@host:22//x", "pypi_backup_max_rate": "10M"},
    "other directories": {"pypi_data_dir": "/a/data", "pypi_config_dir": "/a/etc", "pypi_log_dir": "/a/log"},
}


@pytest.mark.parametrize(
    "name", ["templates/opt/pypi/release/bin/wheelhouse.j2", "templates/usr/local/lib/pypi/passwords.wsgi.j2"]
)
def test_python_scripts_compile(name: str) -> None:
    """Rendered Python files have valid syntax."""
    text = ansible_templates.render(name, pypi_program_dir="/a/b", pypi_config_dir="/a/c")
    compile(text, name, "exec")
    assert "/a/c/" in text


def test_root_scripts_are_isolated() -> None:
    """Scripts of root do not depend on the caller's PATH, directory or Python variables."""
    texts = {name: ansible_templates.render(name) for name in programs()}
    texts["pypi-try-site"] = (ROOT / "roles/apache/files/pypi-try-site").read_text(encoding="utf-8")
    for text in texts.values():
        assert "export PATH=/usr/sbin:/usr/bin:/sbin:/bin" in text.splitlines()
        for call in re.findall(r"python3? .*", text):
            assert call.split()[1] == "-I"
        assert re.search(r"^cd /", text, re.MULTILINE)


def programs() -> list[str]:
    """Return the templates of shell scripts."""
    return [
        name
        for name in ansible_templates.TEMPLATES
        if (ROOT / name).read_text(encoding="utf-8").startswith("#!/bin/sh")
    ]


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("template", ansible_templates.TEMPLATES)
def test_renders_without_undefined_variables(template: str, variant: dict) -> None:
    """Defaults and templates agree on all names."""
    text = ansible_templates.render(template, **variant)
    assert text.endswith("\n")
    assert "{{" not in text
    assert "{%" not in text


def test_undefined_variable_is_an_error() -> None:
    """The test above detects missing variables."""
    found = ansible_templates.variables()
    assert "nobody_has_this" not in found
    with pytest.raises(Exception, match="nobody_has_this"):
        ansible_templates.evaluate(ansible_templates.trust_as_template("{{ nobody_has_this }}"))


def test_all_templates_are_found() -> None:
    """The list of templates is read from the disk."""
    assert len(ansible_templates.TEMPLATES) >= 24
    assert "templates/etc/apache2/sites-available/pypi.conf.j2" in ansible_templates.TEMPLATES


def task_files() -> list[Path]:
    """Return all files with tasks."""
    return sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml"), ROOT / "site.yml"])


def destinations() -> dict[str, str]:
    """Return the destinations of all templates: {template: path}."""
    found = {}
    for path in task_files():
        for task in ansible_templates.tasks(path):
            arguments = task.get("ansible.builtin.template")
            for item in task.get("loop", [None]) if arguments else []:
                source = arguments["src"].replace("{{ item }}", str(item))
                source = source.replace("{{ pypi_shared_templates }}", "templates")
                if not source.startswith("templates/"):
                    source = named(path.parents[1] / "templates" / source)
                found[source] = str(arguments["dest"]).replace("{{ item }}", str(item))
            files = task.get("pypi_files", {}).get("files", [])
            if isinstance(files, str):
                files = ansible_templates.evaluate(
                    files, __pypiserver_release_dir="/opt/pypi/release", __pypiserver_site_packages="/"
                )
            for file in files:
                if "src" not in file and file.get("force", True):
                    found[f"templates{file.get('template', file['path'])}.j2"] = str(file["path"])
    return found


def test_every_template_is_written_by_a_task() -> None:
    """Tasks use all templates, and all templates that tasks use exist."""
    assert sorted(destinations()) == sorted(ansible_templates.TEMPLATES)


@pytest.mark.parametrize(
    ("template", "destination"),
    [(name, destination) for name, destination in destinations().items() if name.startswith("templates/")],
)
def test_template_paths_equal_destinations(template: str, destination: str) -> None:
    """The path of a template is that of the file on the host."""
    rendered = ansible_templates.evaluate(
        ansible_templates.trust_as_template(destination), __pypiserver_release_dir="/opt/pypi/release"
    )
    rendered = rendered.replace("/release/application/", "/release/")
    assert f"/{template.removeprefix('templates/').removesuffix('.j2')}" == rendered


@pytest.mark.parametrize("template", ansible_templates.TEMPLATES)
def test_contains_ansible_managed(template: str) -> None:
    """Each file has the ansible_managed comment, except those without comments: JSON, and restic's password file."""
    text = ansible_templates.render(template, ansible_managed="Canary")
    assert ("Canary" in text) is not (
        template.endswith((".json.j2", "/password.j2")) or "__verify_dir" in destinations()[template]
    )


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_contains_no_passwords(variant: dict) -> None:
    """Templates contain no passwords or hashes."""
    for template in ansible_templates.TEMPLATES:
        if template.startswith("templates/"):
            assert "sentinel" not in ansible_templates.render(template, **variant)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("template", programs())
def test_shell_scripts_have_valid_syntax(template: str, variant: dict) -> None:
    """Rendered shell scripts have valid syntax."""
    subprocess.run(["sh", "-n"], input=ansible_templates.render(template, **variant), text=True, check=True)


@pytest.mark.parametrize("template", programs())
def test_shell_scripts_pass_shellcheck(template: str) -> None:
    """`make lint` checks scripts in the repository; rendered ones are checked here."""
    done = subprocess.run(
        ["shellcheck", "-"], input=ansible_templates.render(template), text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_settings_json() -> None:
    """The file contains the application's paths and limits."""
    template = "templates/etc/pypi/settings.json.j2"
    assert json.loads(ansible_templates.render(template)) == {
        "data": "/srv/pypi",
        "data_is_mount": False,
        "pages": "/var/lib/pypi/pages",
        "rights": "/etc/pypi/rights.json",
        "yanked": "/etc/pypi/yanked.json",
        "audit": "/var/log/pypi/audit/audit.log",
        "early_responses": "/run/pypi-early-responses",
        "backup_status": "/var/lib/pypi/backup/status.json",
        "new_projects": "by_rights",
        "admission": {"max_upload_size": 1 << 30, "max_uploads": 128, "max_uploads_per_client": 64},
        "limits": {
            "max_total_size": None,
            "min_free_space": 512 << 20,
            "max_members": 100_000,
            "max_unpacked_size": 10 << 30,
            "max_unpacked_ratio": 200,
        },
        "url": "https://pypi.example.com/",
    }
    changed = {"pypi_data_dir": "/a", "pypi_data_is_mount": "yes", "pypi_config_dir": "/b", "pypi_pages_dir": "/c"}
    changed |= {"pypi_log_dir": "/d", "pypi_new_projects": "first_uploader", "pypi_https_port": 8443}
    changed |= {"pypi_max_total_size": "2T", "pypi_min_free_space": "0", "pypi_max_unpacked_size": "300K"}
    changed |= {"pypi_max_upload_size": "300M", "pypi_max_uploads": "9", "pypi_max_uploads_per_client": 3}
    changed |= {"pypi_max_members": "5", "pypi_max_unpacked_ratio": 7}
    assert json.loads(ansible_templates.render(template, **changed)) == {
        "data": "/a",
        "data_is_mount": True,
        "pages": "/c",
        "rights": "/b/rights.json",
        "yanked": "/b/yanked.json",
        "audit": "/d/audit/audit.log",
        "early_responses": "/run/pypi-early-responses",
        "backup_status": "/var/lib/pypi/backup/status.json",
        "new_projects": "first_uploader",
        "admission": {"max_upload_size": 300 << 20, "max_uploads": 9, "max_uploads_per_client": 3},
        "limits": {
            "max_total_size": 2 << 40,
            "min_free_space": 0,
            "max_members": 5,
            "max_unpacked_size": 300 << 10,
            "max_unpacked_ratio": 7,
        },
        "url": "https://pypi.example.com:8443/",
    }


def test_exporter_reads_monitoring_json(tmp_path: Path) -> None:
    """The template and the monitoring programs use the same names."""
    path = tmp_path / "monitoring.json"
    changed = {"pypi_data_dir": "/a", "pypi_pages_dir": "/c", "pypi_log_dir": "/d", "pypi_program_dir": "/e"}
    changed |= {"pypi_max_total_size": "1K", "pypi_https_port": "8443"}
    path.write_text(ansible_templates.render("templates/etc/pypi/monitoring.json.j2", **changed))
    settings = MonitoringSettings.load(path)
    assert [str(one) for one in (settings.data, settings.pages, settings.logs, settings.program)] == [
        "/a",
        "/c",
        "/d",
        "/e",
    ]
    assert (settings.min_free_bytes, settings.max_total_bytes) == (512 << 20, 1024)
    assert (settings.canary.server_name, settings.canary.port) == ("pypi.example.com", 8443)
    assert str(settings.metrics_file) == ansible_templates.evaluate(
        ansible_templates.trust_as_template("{{ pypi_shared_metrics_file }}")
    )


@pytest.mark.parametrize(
    ("changed", "reads"),
    [
        ({}, True),
        ({"pypi_allowed_networks": ["10.0.0.0/8"]}, True),
        ({"pypi_read": "anyone"}, False),
        ({"pypi_allowed_networks": ["10.0.0.0/8"], "pypi_access": "any"}, False),
    ],
    ids=str,
)
def test_canary_tries_what_is_forbidden(tmp_path: Path, changed: dict, reads: bool) -> None:
    """Uploads always need a login; reads do, depending on the settings."""
    path = tmp_path / "monitoring.json"
    path.write_text(ansible_templates.render("templates/etc/pypi/monitoring.json.j2", **changed))
    assert MonitoringSettings.load(path).canary.forbidden == [["POST", "/"]] + [["GET", "/simple/"]] * reads


@pytest.mark.parametrize("password", ["P@ss \"word\" of 'canary' {{ x }}", "ä\\n"])
def test_login_of_the_canary(password: str) -> None:
    """Any password is passed on as it is."""
    user = {"name": "canary", "password": password}
    text = ansible_templates.render("templates/etc/pypi/canary.json.j2", pypi_users=[user])
    assert json.loads(text) == {"user": "canary", "password": password}


def test_application_reads_settings_json(tmp_path: Path) -> None:
    """The template and the application use the same names."""
    path = tmp_path / "settings.json"
    path.write_text(
        ansible_templates.render("templates/etc/pypi/settings.json.j2", pypi_data_dir="/a", pypi_pages_dir="/c")
    )
    settings = Settings.load(path)
    paths = settings.paths
    assert (settings.audit, settings.audit_head) == (
        Path("/var/log/pypi/audit/audit.log"),
        Path("/a/state/audit-head.json"),
    )
    assert (settings.claims, settings.tombstones) == (Path("/a/state/claims.json"), Path("/a/state/tombstones.json"))
    assert settings.limits.min_free_space == 512 << 20
    assert settings.admission == AdmissionLimits(1 << 30, 128, 64)
    assert settings.early_responses == Path("/run/pypi-early-responses")
    assert (paths.packages, paths.pages) == (Path("/a/packages"), Path("/c"))
    assert (paths.used_names, paths.yanked) == (Path("/a/state/names.txt"), Path("/a/state/yanked.json"))
    assert (paths.configured_yanks, settings.url) == (Path("/etc/pypi/yanked.json"), "https://pypi.example.com/")


def test_yanked_json(tmp_path: Path) -> None:
    """Yanks in the settings are loaded by the pages, with any characters in their reasons."""
    path = tmp_path / "yanked.json"
    reason = 'it\'s "broken" <b>\n\\ & more'
    releases = [
        {"project": "Foo.Bar", "version": "1.0", "reason": reason},
        {"project": "other", "version": "2.0"},
        {"project": "foo-bar", "version": "v1.1.0"},
    ]
    path.write_text(ansible_templates.render("templates/etc/pypi/yanked.json.j2", pypi_yanked=releases))
    assert yanks.load(path) == {"foo-bar": {"1": reason, "1.1": ""}, "other": {"2": ""}}
    path.write_text(ansible_templates.render("templates/etc/pypi/yanked.json.j2"))
    assert yanks.load(path) == {}


def check_password_of(directory: Path) -> Callable[[dict, str, str], bool | None]:
    """Return the function that mod_wsgi calls, from the entry point as it is on the server."""
    text = ansible_templates.render("templates/usr/local/lib/pypi/passwords.wsgi.j2", pypi_config_dir=str(directory))
    (directory / "passwords.py").write_text((ROOT / "roles/apache/files/passwords.py").read_text())
    entry_point = directory / "passwords.wsgi"
    entry_point.write_text(text)
    names: dict = {"__file__": str(entry_point)}
    exec(compile(text, entry_point, "exec"), names)  # noqa: S102  (as mod_wsgi does)
    return names["check_password"]


def test_password_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the file of the settings and returns what mod_wsgi expects."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "passwords", raising=False)
    line = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    (tmp_path / "htpasswd").write_text(f"alice:{line}\nci:{line}:9999-12-31\nold:{line}:2001-01-01\n")
    check_password = check_password_of(tmp_path)
    checker = check_password.__globals__["checker"]
    assert checker._max_failures == 20
    assert check_password({}, "alice", "right") is True
    assert check_password({}, "alice", "wrong") is False
    assert check_password({}, "bob", "right") is None
    assert check_password({}, "ci", "right") is True
    assert check_password({}, "old", "right") is False
    checks = []
    monkeypatch.setattr(checker, "check", lambda *request: checks.append(request))
    check_password({"REMOTE_ADDR": "192.0.2.7"}, "alice", "right")
    assert checks == [("alice", "right", "192.0.2.7")]


def test_broken_password_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """All logins fail, and one line is logged, since LogLevel hides mod_wsgi's message."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    check_password = check_password_of(tmp_path)
    with pytest.raises(Exception, match="check"):
        check_password({}, "alice", "right")
    (line,) = capsys.readouterr().err.splitlines()
    assert "all logins fail" in line
    assert "bcrypt" in line


def test_units_run_existing_programs() -> None:
    """Units run programs that the kit installs."""
    text = ansible_templates.render("templates/etc/systemd/system/pypi-pages.service.j2")
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    program, *words = command.split()
    links = ansible_templates.trust_as_template("{{ __pypiserver_links | items2dict('path', 'src') }}")
    target = ansible_templates.evaluate(links)[program]
    assert target.replace("/current/", "/release/") in destinations().values()
    assert words == ["rebuild", "--changed"]
    assert "User=pypi" in text.splitlines()


def test_rights_json() -> None:
    """The file contains the groups and rights of the settings, without absent users."""
    template = "templates/etc/pypi/rights.json.j2"
    assert json.loads(ansible_templates.render(template)) == {"groups": {}, "rights": []}
    assert json.loads(ansible_templates.render(template, pypi_users=USERS, pypi_rights=RIGHTS)) == {
        "groups": {"admins": ["alice"], "publishers": ["alice", "bob"]},
        "rights": [RIGHTS[0] | {"users": []}, RIGHTS[1]],
    }


def test_groups_file() -> None:
    """Each line has one member, since Apache truncates long lines; absent users are omitted."""
    text = ansible_templates.render("templates/etc/pypi/groups.j2", pypi_users=USERS)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == ["admins: alice", "publishers: alice", "publishers: bob"]
    text = ansible_templates.render("templates/etc/pypi/groups.j2")
    assert all(line.startswith("#") for line in text.splitlines())


def test_wsgi_file_compiles() -> None:
    """The WSGI file is valid Python with the path of the settings."""
    tree = ast.parse(ansible_templates.render("templates/opt/pypi/release/pypi.wsgi.j2", pypi_config_dir="/a/etc"))
    assert "/a/etc/settings.json" in [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {}),
        ({"pypi_install_index": "https://m.example/simple/"}, {"index-url": "https://m.example/simple/"}),
        ({"pypi_install_index": "https://u:p%40@m.example/"}, {"index-url": "https://u:p%40@m.example/"}),
        ({"pypi_install_folder": "/c/wheels"}, {"no-index": "true", "find-links": "/release/wheels"}),
        (
            {"pypi_install_folder": "/c/wheels", "pypi_install_index": "https://m.example/"},
            {"no-index": "true", "find-links": "/release/wheels"},
        ),
        ({"pypi_install_ca": "/c/ca.crt"}, {"cert": "/release/install-ca.crt"}),
    ],
    ids=str,
)
def test_pip_conf(changed: dict, expected: dict) -> None:
    """Only the configured sources are used."""
    found = configparser.RawConfigParser()
    changed = changed | {"__pypiserver_release_dir": "/release"}
    found.read_string(ansible_templates.render("templates/opt/pypi/release/pip.conf.j2", **changed))
    assert dict(found["install"]) == expected
