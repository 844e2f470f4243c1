"""The alert rules and the dashboard use the metrics that the exporter writes."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from support import ROOT
from support.monitoring import Host
from wheelhouse_monitoring.definitions import COUNTERS, GAUGES

RULES = ROOT / "monitoring/alerts.yml"
DASHBOARD = ROOT / "monitoring/dashboard.json"
RULE_TESTS = ROOT / "tests/monitoring/alerts.test.yml"
# A name, with the selector that follows it.
METRIC = re.compile(r"\b(wheelhouse_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(=~|=)\s*\"([^\"]*)\"")
# Labels that Prometheus adds.
TARGET_LABELS = {"instance", "job"}

RULE_LIST = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def texts(value: Any, key: str) -> list[str]:
    """Return all strings with a key in a JSON document."""
    if isinstance(value, list):
        return [text for item in value for text in texts(item, key)]
    if not isinstance(value, dict):
        return []
    found = [value[key]] if isinstance(value.get(key), str) else []
    return found + [text for item in value.values() for text in texts(item, key)]


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


EXPRESSIONS = [rule["expr"] for rule in RULE_LIST] + texts(dashboard(), "expr") + texts(dashboard(), "definition")


def problems(expression: str) -> list[str]:
    """Return unknown metrics, labels and label values in an expression."""
    found = []
    for name, selector in METRIC.findall(expression):
        definition = (GAUGES | COUNTERS).get(name)
        if definition is None:
            found.append(name)
            continue
        for label, operator, value in MATCHER.findall(selector):
            if label not in {definition.label} | TARGET_LABELS:
                found.append(f"{name}: {label}")
            values = value.split("|") if operator == "=~" else [value]
            if label == definition.label and not set(values) <= set(definition.values):
                found.append(f"{name}: {label}={value}")
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_metrics_and_labels_exist(expression: str) -> None:
    """Each metric, label and label value is one that the exporter writes."""
    assert METRIC.search(expression)
    assert problems(expression) == []


@pytest.mark.parametrize(
    "expression",
    [
        "wheelhouse_nothing",
        'wheelhouse_files{directory="data"}',
        'wheelhouse_rejections_total{reason=~"conflict|none"}',
    ],
)
def test_unknown_names_are_found(expression: str) -> None:
    """The test above detects errors."""
    assert problems(expression)


def test_every_metric_is_shown() -> None:
    """The dashboard has each metric, except where the limits or parts of it suffice."""
    shown = {name for text in texts(dashboard(), "expr") for name, _ in METRIC.findall(text)}
    used = {name for text in EXPRESSIONS for name, _ in METRIC.findall(text)}
    assert (GAUGES | COUNTERS).keys() - used == set()
    assert (GAUGES | COUNTERS).keys() - shown == {
        "wheelhouse_filesystem_size_bytes",
        "wheelhouse_backup_max_age_seconds",
        "wheelhouse_backup_since_timestamp_seconds",
        "wheelhouse_backup_success",
    }


def test_rules_are_complete() -> None:
    """Each rule has a severity, and a summary that names the server."""
    assert RULE_LIST
    names = [rule["alert"] for rule in RULE_LIST]
    assert len(names) == len(set(names))
    for rule in RULE_LIST:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert "$labels.instance" in rule["annotations"]["summary"] or "absent(" in rule["expr"]


def test_every_rule_is_tested() -> None:
    """Each alert fires in a test of the rules."""
    tested = RULE_TESTS.read_text(encoding="utf-8")
    assert [rule["alert"] for rule in RULE_LIST if rule["alert"] not in tested] == []


def test_dashboard_has_unique_panels() -> None:
    """Grafana needs unique IDs and reference IDs, and a data source that the user selects."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))
        assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed; the settings scenario runs it")
class TestPromtool:
    """Prometheus' own checks, where they are installed."""

    @pytest.mark.parametrize("words", [["check", "rules", RULES], ["test", "rules", RULE_TESTS]])
    def test_rules(self, words: list[str]) -> None:
        """The rules are valid, and fire as they should."""
        done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_metrics(self, host: Host) -> None:
        """The metrics are valid and follow the conventions."""
        host.run()
        text = host.settings.metrics_file.read_text()
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
