"""docs/troubleshooting.md: its messages, names and commands exist."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from support import ROOT, ansible_templates
from support.readme import blocks
from wheelhouse import __main__ as program

DOCUMENT = ROOT / "docs/troubleshooting.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
SITE = yaml.safe_load((ROOT / "site.yml").read_text(encoding="utf-8"))[0]

# Messages of other programs.
FOREIGN = {
    "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.",
    "CERTIFICATE_VERIFY_FAILED",
}
# Programs that Debian, or the role packages or backup, installs.
PROGRAMS = {
    "apache2ctl", "apt-get", "cat", "chown", "curl", "df", "dpkg", "journalctl", "mount", "openssl",
    "pypi-backup", "rm", "ss", "systemctl", "tail",
}  # fmt: skip
# Paths of Debian, and those that a run creates on the control node.
OTHER_PATHS = {"/dev/null", "inventory", "inventory/secrets/passwords/alice.txt"}
# Files of pypi-backup.
OTHER_PATHS |= {"/var/lib/pypi/backup/status.json", "/var/lib/pypi/backup/repository.json"}


def commands() -> list[tuple[str, str]]:
    """Return all command lines with the place where they are run: "server" or "control node"."""
    found, where = [], ""
    for block in blocks(TEXT):
        for line in filter(None, block.splitlines()):
            where = line.removeprefix("# ") if line.startswith("# ") else where
            if not line.startswith("# "):
                found.append((where, line))
    return found


COMMANDS = commands()


def words_of(line: str) -> list[list[str]]:
    """Return the words of each command in a line."""
    return [shlex.split(part.partition("<")[0]) for part in line.split(" | ")]


def sources() -> str:
    """Return the texts of the kit on one line, with strings that are split over lines joined."""
    paths = [path for path in [*ROOT.glob("roles/**/*"), *ROOT.glob("templates/**/*")] if path.is_file()]
    texts = [path.read_text(encoding="utf-8") for path in paths if path.suffix in (".py", ".yml", ".j2", "")]
    joined = re.sub(r'"\s*\n\s*f?"', "", "\n".join(texts))
    return " ".join(joined.split())


def test_commands_are_found() -> None:
    """The rules below are applied to existing commands."""
    assert {where for where, _line in COMMANDS} == {"server", "control node"}
    assert len(COMMANDS) > 25


@pytest.mark.parametrize("message", re.findall(r"^> (.+)$", TEXT, re.MULTILINE))
def test_messages_exist_in_the_kit(message: str) -> None:
    """Each quoted message exists in the kit. An ellipsis replaces a variable part."""
    if message not in FOREIGN:
        text = sources()
        parts = [part.strip(" .") for part in message.split("…")]
        assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize("line", sorted({line for where, line in COMMANDS if where == "server"}))
def test_server_commands_exist(line: str) -> None:
    """The programs are installed, and the subcommands of wheelhouse exist."""
    for name, *words in words_of(line):
        if name == "wheelhouse":
            with pytest.raises(SystemExit) as ended:
                program.main(["--settings", "/nowhere", *words, "--help"])
            assert ended.value.code == 0
        else:
            assert name in PROGRAMS


@pytest.mark.parametrize("line", sorted({line for where, line in COMMANDS if where == "control node"}))
def test_control_node_commands_exist(line: str) -> None:
    """Playbooks, tags and settings exist."""
    ((name, *words),) = words_of(line)
    assert name in PROGRAMS | {"ansible-playbook"}
    if name == "ansible-playbook":
        assert (ROOT / words[0]).is_file()
        tags = {tag for role in SITE["roles"] for tag in role["tags"]}
        given = {option: value for option, value in pairwise(words) if option.startswith("-")}
        assert {given.get("--tags", "always")} <= tags
        assert {given.get("-e", "pypi_read").partition("=")[0]} <= set(ansible_templates.default_names())


def test_units_exist() -> None:
    """Commands of systemd use units that the kit installs."""
    units = {path.name.removesuffix(".j2") for path in ROOT.glob("templates/etc/systemd/system/*.j2")} | {
        "apache2.service"
    }
    text = "\n".join(line for _where, line in COMMANDS if line.startswith(("systemctl", "journalctl")))
    named = re.findall(r"\b(?:apache2|pypi-[a-z.-]+)", text)
    assert named
    assert [name for name in named if not {name, f"{name}.service"} & units] == []


def test_settings_exist() -> None:
    """Each setting in the document exists."""
    named = set(re.findall(r"\bpypi_[a-z_]+", TEXT))
    assert named
    assert sorted(named - set(ansible_templates.default_names())) == []


def known_paths() -> set[str]:
    """Return the directories and files that the kit creates on a server, and their parents."""
    given = ansible_templates.settings()
    found = {str(value) for name, value in given.items() if name.endswith("_dir")}
    found |= {f"{given['pypi_data_dir']}/state", f"{given['pypi_program_dir']}/current"}
    text = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("roles/*/tasks/*.yml"))
    found |= {
        ansible_templates.evaluate(ansible_templates.trust_as_template(path))
        for path in re.findall(r'path: "(\{\{ pypi_[^"]+)"', text)
    }
    return found | {str(parent) for path in found for parent in Path(path).parents}


def test_paths_exist() -> None:
    """Paths exist with the default settings or in the repository."""
    code = re.findall(r"`([^`\n]+)`", TEXT) + [line for _where, line in COMMANDS]
    named = {path for text in code for path in re.findall(r"(?<![\w:./-])(?:/|inventory|playbooks)[\w./-]*[\w]", text)}
    named -= OTHER_PATHS
    assert "/var/log/pypi/access.log" in named
    unknown = [path for path in named if path not in known_paths() and not (ROOT / path.lstrip("/")).exists()]
    assert sorted(unknown) == []


def test_links_are_valid() -> None:
    """The target of a link exists."""
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (DOCUMENT.parent / target).is_file()
