"""The configuration of logrotate for the audit log."""

import re

from support import ansible_templates

LOGROTATE = "templates/etc/logrotate.d/pypi.j2"


def rules(text: str) -> dict[str, dict[str, str]]:
    """Return logrotate's rules by file: {path: {directive: arguments}}."""
    found = {}
    for paths, body in re.findall(r"^(/[^{\n]*) \{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL):
        words = (line.strip().partition(" ") for line in body.splitlines())
        found |= {path: {word: rest for word, _, rest in words} for path in paths.split()}
    return found


def test_rotation_keeps_the_hash_chain() -> None:
    """wheelhouse.audit relies on each of these directives."""
    found = rules(ansible_templates.render(LOGROTATE, pypi_audit_months=7, pypi_log_dir="/a/log"))
    audit = found["/a/log/audit/audit.log"]
    assert audit["su"] == "pypi adm"
    assert audit["create"] == "0640 pypi adm"
    # Files are kept by age, not by number or size: at least seven months.
    assert (audit["rotate"], audit["maxage"]) == ("-1", str(7 * 31))
    assert re.fullmatch(r"[1-9]\d*M", audit["maxsize"])
    assert set(audit) >= {"monthly", "missingok", "notifempty", "compress", "delaycompress", "nodateext"}
    assert not {"copytruncate", "postrotate", "olddir", "shred"} & set(audit)


def test_rotates_configured_path() -> None:
    """The application's log is the one that is rotated."""
    changed = {"pypi_log_dir": "/a/log"}
    assert re.search(r'"audit": "(.*)"', ansible_templates.render("templates/etc/pypi/settings.json.j2", **changed))[
        1
    ] in rules(ansible_templates.render(LOGROTATE, **changed))


def test_apache_logs_have_separate_rules() -> None:
    """They are kept for a shorter time, and Apache must reopen them."""
    found = rules(ansible_templates.render(LOGROTATE, pypi_log_days=9))
    assert sorted(found) == [f"/var/log/pypi/{name}" for name in ("access.log", "audit/audit.log", "error.log")]
    assert found["/var/log/pypi/access.log"]["rotate"] == "9"
    assert "postrotate" in found["/var/log/pypi/access.log"]
