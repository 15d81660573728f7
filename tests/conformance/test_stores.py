"""Each store keeps every promise of the port."""

import hashlib
from pathlib import Path

import pytest

from perdure.stores.memory import InMemoryStore
from perdure.stores.postgres import PostgresStore, exports, read
from perdure.stores.sqlite import SqliteStore
from perdure.testing.servers import PostgresServer
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


class OnPostgres:
    """A schema of its own for each folder."""

    @pytest.fixture(autouse=True)
    def server(self, postgres_server: PostgresServer) -> None:
        self.url = postgres_server.url()

    def make(self, folder: Path) -> PostgresStore:
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        return PostgresStore(url=self.url, schema=f"s{name}")


class TestPostgresStore(
    OnPostgres,
    StoreConformance,
    DurableConformance,
    CheckConformance,
    ExportConformance,
    ReindexConformance,
    StandingConformance,
    VectorCacheConformance,
    FollowedConformance,
):
    pass


class TestPostgresStorePageByPage(OnPostgres, AgreementConformance):
    @pytest.fixture(autouse=True)
    def small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(read, "PAGE", 3)
        monkeypatch.setattr(exports, "PAGE", 3)
