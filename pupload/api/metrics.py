"""Numbers for Prometheus: requests as they are counted here, runs and capacity as the service tells them."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from pupload.service import views

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self, counts: Callable[[], views.Counts]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "pupload_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "pupload_http_request_seconds",
            "How long answers took; what lasts is not among them.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._registry.register(_ServiceCollector(counts))

    def observe(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Counts an answer; `route` is the path's template, so that ids make no new series."""
        verb = method if method in _METHODS else "other"
        self._requests.labels(verb, route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(verb, route).observe(seconds)

    def render(self) -> bytes:
        """The page, in Prometheus' text format."""
        return generate_latest(self._registry)


class _ServiceCollector(Collector):
    """Asks the service when somebody asks for the page."""

    def __init__(self, counts: Callable[[], views.Counts]) -> None:
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the service yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        counts = self._counts()
        runs = GaugeMetricFamily("pupload_runs", "Runs this process knows of, by status.", labels=["status"])
        for status, number in counts.runs.items():
            runs.add_metric([status], number)
        yield runs
        yield GaugeMetricFamily("pupload_containers", "Attempts that hold resources now.", value=counts.containers)
        yield GaugeMetricFamily("pupload_armed_containers", "Containers that wait for their nodes.", value=counts.armed)
        yield GaugeMetricFamily("pupload_queued_nodes", "Nodes that wait for room.", value=counts.queued)
        yield GaugeMetricFamily("pupload_queued_runs", "Runs that wait for a slot.", value=counts.runs_queued)
        if counts.slots is not None:
            slots = GaugeMetricFamily("pupload_slots", "How many runs may have anything under way.", labels=["state"])
            slots.add_metric(["all"], counts.slots)
            slots.add_metric(["used"], counts.slots_used)
            yield slots
        yield _by_resource("pupload_capacity", "What there is in all.", counts.capacity)
        yield _by_resource("pupload_used", "What live attempts hold.", counts.used)
        yield CounterMetricFamily(
            "pupload_standstills", "How often the event loop stood still for seconds.", value=counts.standstills
        )
        yield CounterMetricFamily(
            "pupload_standstill_seconds", "How long it did, in all.", value=counts.standstill_seconds
        )
        happened = CounterMetricFamily("pupload_events", "What happened in runs since the start.", labels=["kind"])
        for kind, number in counts.totals.items():
            happened.add_metric([kind], number)
        yield happened
        yield CounterMetricFamily(
            "pupload_uploads", "Uploads sealed since the start.", value=counts.totals.get("upload.sealed", 0)
        )
        yield _by_kind(GaugeMetricFamily, "pupload_disk_free_bytes", "Room on disk.", "disk", counts.disk_free)
        yield _by_kind(CounterMetricFamily, "pupload_deleted", "What was not kept any longer.", "kind", counts.deleted)
        ended = CounterMetricFamily("pupload_callbacks", "Callbacks delivered or given up.", labels=["state"])
        for state, number in counts.callbacks.items():
            ended.add_metric([state], number)
        yield ended
        yield GaugeMetricFamily(
            "pupload_callbacks_pending", "Callbacks neither delivered nor given up.", value=counts.callbacks_pending
        )


def _by_resource(name: str, about: str, numbers: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=["resource"])
    for resource, number in numbers.items():
        family.add_metric([resource], number)
    return family


def _by_kind(
    family: type[GaugeMetricFamily | CounterMetricFamily], name: str, about: str, label: str, numbers: Mapping[str, int]
) -> Metric:
    found = family(name, about, labels=[label])
    for value, number in numbers.items():
        found.add_metric([value], number)
    return found
