"""The values of the metrics, and their text format, which prometheus_client writes."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from wheelhouse_monitoring.counters import Counters
from wheelhouse_monitoring.definitions import GAUGES


class Samples:
    """Values of gauges by name and label value. Metrics without a value are not written."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, float]] = {}

    def set(self, name: str, value: float, label: str = "") -> None:
        """Set a gauge. label: the value of its label."""
        if (values := GAUGES[name].values) and label not in values:
            raise ValueError(f"{label!r} is not a label value of {name}")
        self._values.setdefault(name, {})[label] = value

    def families(self) -> Iterator[Metric]:
        """Yield the metrics that have values."""
        for name, definition in GAUGES.items():
            family = GaugeMetricFamily(name, definition.help, labels=[definition.label] if definition.label else [])
            for label, value in self._values.get(name, {}).items():
                family.add_metric([label] if definition.label else [], value)
            if family.samples:
                yield family


def counter_families(counters: Counters) -> Iterator[Metric]:
    """Yield all counters, also those that are 0: rates then include the first event."""
    for name, definition, values in counters.items():
        family = CounterMetricFamily(name, definition.help, labels=[definition.label] if definition.label else [])
        for label, value in values.items():
            family.add_metric([label] if definition.label else [], value)
        yield family


class _Families(Collector):
    """A collector with given metrics."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """Return the metrics."""
        return self._families


def exposition(samples: Samples, counters: Counters) -> str:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Families([*samples.families(), *counter_families(counters)]))
    return generate_latest(registry).decode()
