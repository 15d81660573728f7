"""What every store promises, as tests: inherit `StoreConformance`, and the classes of the store's optional powers.

class TestMyStore(StoreConformance, DurableConformance):
    def make(self, folder: Path) -> MyStore:
        return MyStore(path=folder / "memory")
"""

from perdure.testing.store.caching import StandingConformance, VectorCacheConformance
from perdure.testing.store.exports import ExportConformance
from perdure.testing.store.following import FollowedConformance
from perdure.testing.store.machine import AgreementConformance
from perdure.testing.store.powers import (
    BackupConformance,
    CheckConformance,
    DurableConformance,
    ReindexConformance,
)
from perdure.testing.store.promises import StoreConformance

__all__ = [
    "AgreementConformance",
    "BackupConformance",
    "CheckConformance",
    "DurableConformance",
    "ExportConformance",
    "FollowedConformance",
    "ReindexConformance",
    "StandingConformance",
    "StoreConformance",
    "VectorCacheConformance",
]
