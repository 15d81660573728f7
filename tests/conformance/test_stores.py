"""Each store keeps every promise of the port."""

import hashlib
from pathlib import Path
from typing import Any, cast

import pytest

from perdure.ports import Space, Store
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

    def make(self, folder: Path) -> Store:
        return self.store(folder)

    def store(self, folder: Path) -> PostgresStore:
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


class InTurns:
    """Two stores over one schema, as two processes have them: after each three changes it is the other's turn."""

    def __init__(self, *stores: PostgresStore) -> None:
        self._stores = stores
        self._changes = 0

    async def open(self, space: Space | None) -> None:
        for store in self._stores:
            await store.open(space)

    async def aclose(self) -> None:
        for store in self._stores:
            await store.aclose()

    def __getattr__(self, name: str) -> Any:
        self._changes += name in ("commit", "erase", "reset")
        return getattr(self._stores[self._changes // 3 % 2], name)


class TestTwoPostgresStoresInTurns(OnPostgres, AgreementConformance):
    def make(self, folder: Path) -> Store:
        return cast("Store", InTurns(self.store(folder), self.store(folder)))
