"""What a server counts, in a registry of its own, for Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FACES: Final = (1, 2, 4, 8, 16, 32)


class Metrics:
    """The counters, histograms and gauges; names start with `gender_pipeline_`."""

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        prefix = "gender_pipeline_"
        self.requests = Counter(f"{prefix}requests", "Requests", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            f"{prefix}request_seconds", "Time to the end of an answer", ["route"], buckets=_SECONDS, registry=registry
        )
        self.photos = Counter(f"{prefix}photos", "Photos looked at", registry=registry)
        self.faces = Counter(f"{prefix}faces", "Faces, or photos as they are, that were answered", registry=registry)
        self.problems = Counter(f"{prefix}photo_problems", "Photos without an answer", ["problem"], registry=registry)
        self.batches = Histogram(
            f"{prefix}batch_faces", "Faces in a pass of the network", buckets=_FACES, registry=registry
        )
        self.network_seconds = Histogram(
            f"{prefix}network_seconds", "Time of a pass of the network", buckets=_SECONDS, registry=registry
        )
        self.waiting = Gauge(f"{prefix}waiting_photos", "Photos prepared or waiting for the network", registry=registry)
        self.model = Info(f"{prefix}model", "The version that answers", registry=registry)
        self.swaps = Counter(f"{prefix}model_swaps", "Versions taken over, the first one included", registry=registry)
        self.failures = Counter(f"{prefix}model_failures", "Versions that could not be loaded", registry=registry)
        self.unreachable = Counter(
            f"{prefix}registry_failures", "Times the model registry could not be asked", registry=registry
        )

    def render(self) -> bytes:
        """Return all in Prometheus' text format."""
        return generate_latest(self._registry)
