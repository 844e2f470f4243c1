"""What the host's own programs do for the audit log: what logrotate is told."""

import re

from support import ansible_templates

LOGROTATE = "templates/etc/logrotate.d/pypi.j2"


def rules(text: str) -> dict[str, dict[str, str]]:
    """Return logrotate's rules by the files that they are for: each word with what follows it."""
    found = {}
    for paths, body in re.findall(r"^(/[^{\n]*) \{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL):
        words = (line.strip().partition(" ") for line in body.splitlines())
        found |= {path: {word: rest for word, _, rest in words} for path in paths.split()}
    return found


def test_rotation_keeps_the_chain() -> None:
    """Each of these is relied on when the log is written, or read: see wheelhouse.audit."""
    found = rules(ansible_templates.render(LOGROTATE, pypi_audit_months=7, pypi_log_dir="/a/log"))
    audit = found["/a/log/audit/audit.log"]
    assert audit["su"] == "pypi adm"
    assert audit["create"] == "0640 pypi adm"
    # Neither the number of files nor their size says how long they are kept, but their age: at least seven months.
    assert (audit["rotate"], audit["maxage"]) == ("-1", str(7 * 31))
    assert re.fullmatch(r"[1-9]\d*M", audit["maxsize"])
    assert set(audit) >= {"monthly", "missingok", "notifempty", "compress", "delaycompress", "nodateext"}
    assert not {"copytruncate", "postrotate", "olddir", "shred"} & set(audit)


def test_the_log_is_where_logrotate_looks() -> None:
    """A log that nothing rotates fills the disk, years later."""
    changed = {"pypi_log_dir": "/a/log"}
    assert re.search(r'"audit": "(.*)"', ansible_templates.render("templates/etc/pypi/settings.json.j2", **changed))[
        1
    ] in rules(ansible_templates.render(LOGROTATE, **changed))


def test_apaches_logs_are_none_of_it() -> None:
    """They go sooner, and Apache has to be told."""
    found = rules(ansible_templates.render(LOGROTATE, pypi_log_days=9))
    assert sorted(found) == [f"/var/log/pypi/{name}" for name in ("access.log", "audit/audit.log", "error.log")]
    assert found["/var/log/pypi/access.log"]["rotate"] == "9"
    assert "postrotate" in found["/var/log/pypi/access.log"]
