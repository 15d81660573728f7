"""Each store keeps every promise of the port."""

from pathlib import Path

from perdure.stores.memory import InMemoryStore
from perdure.stores.sqlite import SqliteStore
from perdure.testing.store import (
    AgreementConformance,
    BackupConformance,
    CheckConformance,
    DurableConformance,
    ExportConformance,
    FollowedConformance,
    ReindexConformance,
    StandingConformance,
    StoreConformance,
    VectorCacheConformance,
)


class TestInMemoryStore(StoreConformance, StandingConformance, VectorCacheConformance, FollowedConformance):
    def make(self, folder: Path) -> InMemoryStore:
        return InMemoryStore()


class TestSqliteStore(
    StoreConformance,
    AgreementConformance,
    DurableConformance,
    CheckConformance,
    BackupConformance,
    ExportConformance,
    ReindexConformance,
    StandingConformance,
    VectorCacheConformance,
    FollowedConformance,
):
    def make(self, folder: Path) -> SqliteStore:
        return SqliteStore(path=folder / "memory.db", synchronous="NORMAL")

    def opened_backup(self, path: Path) -> SqliteStore:
        return SqliteStore(path=path)
