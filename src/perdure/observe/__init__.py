"""How memories are doing, for those who run them: figures for Prometheus."""

from perdure.observe.metrics import Metrics

__all__ = ["Metrics"]
