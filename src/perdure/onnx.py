"""onnxruntime, which reports to nobody; whoever needs it takes it from here."""

from __future__ import annotations

import os

# Since 1.29 onnxruntime reports to its maker unless this is said before it is loaded; the thread that does so
# would also abort a forked child at its end. Nothing that Perdure runs reports to anybody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

onnxruntime.disable_telemetry_events()  # for when another part of the application loaded it before us

__all__ = ["onnxruntime"]
